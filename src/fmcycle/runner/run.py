"""Runs a stage: finds and verifies its inputs, locks its out, computes its identity, writes metrics and provenance."""

import ctypes
import importlib
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

from fmcycle.artifact import atomic, external, hub, provenance
from fmcycle.artifact import folder as artifact
from fmcycle.config import build, code_digest
from fmcycle.config.compose import Composed, compose
from fmcycle.config.machine import said, trains
from fmcycle.config.model_path import left_out
from fmcycle.config.paths import is_path
from fmcycle.distributed import rank
from fmcycle.errors import ConfigError, InputError, Missing
from fmcycle.hardware import threads
from fmcycle.licence.audit import TABLES, permit
from fmcycle.runner import begin_from, outs, stopped
from fmcycle.runner.inputs import CONFIG, settle_inputs, wrong_paths
from fmcycle.runner.own_model import at_weights
from fmcycle.runner.own_table import curated, from_hub
from fmcycle.runner.record import traced

RAW = ("data", "feedback", "local")  # inputs that may be any files of a person, without a manifest


def perform_job(overrides: list[str]) -> int:
    """Run the stage that `overrides` compose to; return the exit code, or raise the error that carries it."""
    if rank.group() and not rank.first():  # submitit starts every rank with the overrides
        return rank.follow(join)
    with rank.leading():
        perform(compose(overrides))
    return 0


def join(config: dict) -> None:
    """Run the stage on a rank other than the first, with the config that the first one resolved; lock, print and write nothing."""
    quiet()
    target = config.pop("_target_")
    build.resolve(target)(SimpleNamespace(**config))


def perform(composed: Composed, needed_by: str | None = None) -> Path:
    """Run one composed stage and return its out folder; if an earlier run has the same identity, return its folder instead.

    needed_by: the stage that needs this one as an input. Raises Missing if the stage must run and base=require forbids that.
    """
    quiet()
    machine = _begun(composed, needed_by)
    chosen = composed.config().get("init_from")
    start = {"init_from": begin_from.found(chosen)} if chosen else {}
    permit(build.build(composed.config().get("licence")), composed.section.get("model") or {}, {}, {})
    composed = curated(at_weights(from_hub(composed), perform), perform)
    _permitted(composed)
    _looked_at(composed)
    inputs = settle_inputs(composed, perform)
    named = _weights(composed.section) | start
    digests = _verified(inputs | named)
    if chosen:
        begin_from.check(start["init_from"], composed.section, digests, inputs | named)
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
        config = _configured(composed, inputs, out, runs, start)
        if chosen:
            begin_from.record(start["init_from"], runs)
        elif line := stopped.beside(config, runs):
            print(line, flush=True)
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
    """Return the stage's TrainerConfig, None if it has no trainer. Raises InputError if the trainer, the out or a path is wrong."""
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
    if needed_by is None and (line := left_out(composed)):
        print(line, flush=True)
    return machine


def _made_before(stage: str, identity: str, out: Path) -> Path | None:
    """Return the folder that a run of this identity wrote: the pipeline's, if unchanged since, or `out`; None if there is none."""
    pipeline = Path("sources") if stage == "collect" else Path("artifacts") / stage
    for folder in (pipeline, out):
        try:
            recorded = artifact.read_json(provenance.provenance_file(folder), identity=str, outs=dict)
        except InputError:
            continue  # no provenance, or half of it: the stage did not end
        if folder == out or (recorded["identity"] == identity and provenance.is_as_recorded(folder, recorded)):
            return folder
    return None


def _permitted(composed: Composed) -> None:
    """Check the licence policy on the tables that exist, before missing inputs are made, which may take hours."""
    there = {name: str(path) for name, path in composed.inputs.items() if path is not None and Path(path).is_file()}
    whole = all(name in there for name in TABLES if composed.inputs.get(name))
    config = composed.config(inputs=composed.inputs)
    permit(build.build(config.get("licence")), {}, config.get("data", {}), there if whole else {})


def _looked_at(composed: Composed) -> None:
    """Let the stage look at its settings and at the inputs that are there, before the others are made, which may take hours."""
    if all(value is None or is_path(value) for value in composed.inputs.values()):
        return  # the stage itself looks, before it begins
    config = composed.config(inputs=composed.inputs)
    stage = importlib.import_module(config.pop("_target_").rpartition(".")[0])
    if hasattr(stage, "check"):
        stage.check(SimpleNamespace(**config))


def _weights(section: dict) -> dict[str, Path | None]:
    """Return {key: path} of weights and processors that the config names on disk; their content, not their path, is identity."""
    found: dict[str, Path | None] = {}
    for group in ("model", "processor"):
        node = section.get(group)
        if isinstance(node, dict) and not node.get("package"):
            found |= {f"{group}.{key}": Path(node[key]) for key in ("path", "base", "tokenizer") if node.get(key)}
            if node.get("path") and (base := external.base_of(Path(node["path"]), node.get("base"))):
                found[f"{group}.base"] = Path(base)
    return found


def _verified(inputs: dict[str, Path | None]) -> dict[str, str]:
    """Return {name: content digest} of the inputs that are set. Raises InputError listing all that are wrong."""
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


def quiet() -> None:
    """Silence hub access, library warnings and loading bars, so that the terminal shows the stage's own lines."""
    hub.close()
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for category in (FutureWarning, DeprecationWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(transformers|lightning|torch)\.")


def _configured(composed: Composed, inputs: dict, out: Path, runs: Path, start: dict) -> dict:
    """Return the config that the stage runs with; write it to `runs`/config.yaml."""
    runs.mkdir(parents=True, exist_ok=True)
    settled = {name: None if path is None else str(path) for name, path in inputs.items()}
    config = composed.config(inputs=settled, out=str(out), runs=str(runs), **{name: str(path) for name, path in start.items()})
    atomic.write_text(runs / "config.yaml", yaml.safe_dump(config, sort_keys=True, width=120))
    return config


def _same_as_pipeline(composed: Composed, out: Path) -> None:
    """Raise InputError if a pipeline run's section differs from the one that DVC tracks in artifacts/config.yaml."""
    if out.parts[0] not in ("artifacts", "sources") or composed.base != "require":
        return
    if not CONFIG.is_file() or yaml.safe_load(CONFIG.read_text()).get(composed.stage) != composed.tracked:
        raise InputError(f"{CONFIG}: does not hold this {composed.stage} section; run `dvc repro {composed.stage}`, or choose another out=")


def die_with_parent() -> None:
    """Die with the parent process, dvc or the first rank: an orphan would later overwrite newer results (Linux only)."""
    if hasattr(ctypes, "CDLL"):
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        except (OSError, AttributeError):
            return  # not Linux: the lock on the out still refuses a second writer
        if os.getppid() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
