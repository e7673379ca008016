"""What surrounds every stage: inputs found and verified, one writer, identity, metrics and provenance."""

import ctypes
import logging
import os
import signal
import time
import warnings
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import yaml

from fmcycle.artifact import atomic, provenance
from fmcycle.artifact import folder as artifact
from fmcycle.config import build, code_digest
from fmcycle.config.compose import Composed, compose
from fmcycle.config.machine import said, trains
from fmcycle.config.paths import is_path
from fmcycle.distributed import rank
from fmcycle.errors import ConfigError, InputError, Missing
from fmcycle.hardware import threads
from fmcycle.licence.audit import TABLES, permit
from fmcycle.runner import outs
from fmcycle.runner.inputs import CONFIG, settle_inputs, wrong_paths
from fmcycle.runner.own_table import curated
from fmcycle.runner.record import traced

RAW = ("data", "feedback", "local")  # inputs that may be a person's own files, whatever their names


def perform_job(overrides: list[str]) -> int:
    """Run the stage that `overrides` compose to; the exit code is the return value or the error's."""
    if rank.group() and not rank.first():  # submitit starts every rank with the overrides
        return rank.follow(join)
    with rank.leading():
        perform(compose(overrides))
    return 0


def join(config: dict) -> None:
    """What a rank other than the first runs: the config that the first one resolved. It locks, prints and writes nothing."""
    _quiet()
    target = config.pop("_target_")
    build.resolve(target)(SimpleNamespace(**config))


def perform(composed: Composed, needed_by: str | None = None) -> Path:
    """Run one composed stage; returns its out folder. What was made before with the same identity is not made again.

    needed_by: the stage that wants it as an input. Raises InputError where it must be made and base=require forbids that.
    """
    machine = _begun(composed, needed_by)
    composed = curated(composed, perform)
    _permitted(composed)
    inputs = settle_inputs(composed, perform)
    named = _weights(composed.section)
    digests = _verified(inputs | named)
    code = code_digest.digest(composed.section)
    identity = provenance.identity(composed.section, code, digests)
    runs = Path("runs") / composed.stage / identity[:16]
    out = Path(composed.out) if composed.out else runs / "out"
    outs.apart(out, inputs | named)
    if composed.out is None and (found := _made_before(composed.stage, identity, out)):
        if needed_by is None:
            again = f"delete {runs} to make it again" if found == out else "out=FOLDER makes it again"
            print(f"{found}: made before with the same identity; {again}")
        return found
    if needed_by:
        _announce(composed, needed_by)
    _same_as_pipeline(composed, out)
    given = {name: {"path": str((inputs | named)[name]), "digest": digest} for name, digest in digests.items()}
    with atomic.lock(out), atomic.lock(runs), traced(composed, identity, code, given, out, runs) as done:
        started, clock = datetime.now(UTC), time.monotonic()
        print(f"{composed.stage} -> {out}, {threads.settle()}", flush=True)
        config = _configured(composed, inputs, out, runs)
        with rank.shared(runs / "config.yaml", config) if trains(config) else nullcontext():
            stage = build.resolve(config.pop("_target_"))
            metrics = stage(SimpleNamespace(**config))
        if metrics is not None:
            atomic.write_json(out / "metrics.json", metrics)
        seconds = round(time.monotonic() - clock, 1)
        times = {"start": started.isoformat(timespec="seconds"), "seconds": seconds}
        computes = machine.computes if machine else ""
        provenance.record(out, composed.stage, identity, composed.section, code, given, times, computes)
        done |= {"metrics": metrics or {}, "seconds": seconds}
        print(f"{composed.stage}: done in {seconds:.0f} s, {out}", flush=True)
    return out


def _begun(composed: Composed, needed_by: str | None):
    """The machine of the stage, None if it has none. Raises InputError if the machine, the out or a path is wrong."""
    if os.environ.get("DVC_STAGE"):
        die_with_parent()
    machine = build.build(composed.machine["trainer"]) if "trainer" in composed.machine else None
    if machine:
        machine.check(trains(composed.section))
        if needed_by is None and (line := said(machine, composed.section, composed.written)):
            print(line, flush=True)
    if composed.out:
        outs.apart(Path(composed.out), {name: Path(path) for name, path in composed.inputs.items() if path and is_path(path)})
        outs.claim(Path(composed.out), composed.stage)
    if needed_by is None and (problems := wrong_paths(composed)):
        raise ConfigError(problems)
    return machine


def _made_before(stage: str, identity: str, out: Path) -> Path | None:
    """The folder that holds what this identity makes: the pipeline's, as it left it, or that of an earlier run by hand."""
    pipeline = Path("sources") if stage == "collect" else Path("artifacts") / stage
    for folder in (pipeline, out):
        try:
            recorded = artifact.read_json(provenance.provenance_file(folder), identity=str, outs=dict)
        except InputError:
            continue  # none, or half written: its stage never ended
        if folder == out or (recorded["identity"] == identity and provenance.is_as_recorded(folder, recorded)):
            return folder
    return None


def _permitted(composed: Composed) -> None:
    """Refuse a mix that breaks its licence policy, as far as its tables are there, before what is missing is made: that may take hours."""
    there = {name: str(path) for name, path in composed.inputs.items() if path is not None and Path(path).is_file()}
    whole = all(name in there for name in TABLES if composed.inputs.get(name))
    config = composed.config(inputs=composed.inputs)
    permit(build.build(config.get("licence")), {}, config.get("data", {}), there if whole else {})


def _weights(section: dict) -> dict[str, Path | None]:
    """{key: path} of weights and processors that lie on disk where the config says: their content, not their place, is identity."""
    found: dict[str, Path | None] = {}
    for group in ("model", "processor"):
        node = section.get(group)
        if isinstance(node, dict) and not node.get("package"):
            found |= {f"{group}.{key}": Path(node[key]) for key in ("path", "base", "tokenizer") if node.get(key)}
    return found


def _verified(inputs: dict[str, Path | None]) -> dict[str, str]:
    """{name: content digest} of the inputs that are there to be read. Raises InputError naming all that are wrong."""
    digests, problems = {}, []
    for name, path in inputs.items():
        try:
            if path is not None:
                digests[name] = artifact.verify(path, raw=name in RAW)
        except InputError as error:
            problems.append(f"{name if '.' in name else f'inputs.{name}'}: {error}")
    if problems:
        raise InputError("\n".join(problems))
    return digests


def _announce(composed: Composed, needed_by: str) -> None:
    command = " ".join(["fmcycle", composed.stage, *[text for text in composed.overrides if not text.startswith(("stage=", "base="))]])
    if composed.base == "require":
        raise Missing(f"{needed_by} needs {composed.stage}, which is not there, and base=require forbids making it; run `{command}`")
    print(f"{needed_by} needs {composed.stage} first: about {composed.minutes:g} min on 2 cores, by `{command}`", flush=True)


def _quiet() -> None:
    """Leave the screen to what the stage says: no hub, no advertisement, no bar for a weight file of a second."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(transformers|lightning|torch)\.")


def _configured(composed: Composed, inputs: dict, out: Path, runs: Path) -> dict:
    """The config that the stage runs with, also written into `runs`."""
    _quiet()
    runs.mkdir(parents=True, exist_ok=True)
    settled = {name: None if path is None else str(path) for name, path in inputs.items()}
    config = composed.config(inputs=settled, out=str(out), runs=str(runs))
    atomic.write_text(runs / "config.yaml", yaml.safe_dump(config, sort_keys=True, width=120))
    return config


def _same_as_pipeline(composed: Composed, out: Path) -> None:
    """In the pipeline the section that runs is the section that DVC tracked, whatever machine runs it."""
    if out.parts[0] not in ("artifacts", "sources") or composed.base != "require":
        return
    if not CONFIG.is_file() or yaml.safe_load(CONFIG.read_text()).get(composed.stage) != composed.tracked:
        raise InputError(f"{CONFIG}: does not hold this {composed.stage} section; run `dvc repro {composed.stage}`, or choose another out=")


def die_with_parent() -> None:
    """End with the process that started us, dvc or the first rank: an orphan would later overwrite newer results (Linux)."""
    if hasattr(ctypes, "CDLL"):
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        except (OSError, AttributeError):
            return  # not Linux: the lock on the out still refuses a second writer
        if os.getppid() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
