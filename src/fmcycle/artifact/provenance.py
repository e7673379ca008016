"""Provenance: a record beside every stage's out of what it was made from, and the search for the record of an artifact."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from fmcycle.artifact import atomic, manifest, vouched
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError

WIDE = 400  # columns without a terminal, so that no line is cut
EMPTY = hashlib.sha256().hexdigest()  # digest of an empty file, which many stages write


def identity(section: dict, code: str, inputs: dict[str, str]) -> str:
    """Return the digest of what decides a result: the section, the code that it reaches, the content of the files that it reads."""
    return artifact.digest_of({"section": section, "code": code, "inputs": inputs})


def provenance_file(out: str | Path) -> Path:
    """Return `<out>.provenance.json`, beside the out and not in it, so that times and hosts make nothing stale."""
    out = Path(out)
    return out.with_name(f"{out.name}.provenance.json")


def record(
    out: str | Path, stage: str, identity: str, section: dict, code: str, inputs: dict, times: dict, computes: str = "", *, file=None
) -> None:
    """Write the provenance of `out`, beside it or to `file`.

    inputs: {name: {"path", "digest"}}; times: {"start": ISO, "seconds": s}; computes: device and dtype, if the stage has a trainer.
    """
    packages = ("torch", "lightning", "transformers", "tokenizers", "peft", "polars", "optuna", "bentoml")
    atomic.write_json(
        file or provenance_file(out),
        {
            "stage": stage,
            "identity": identity,
            "section": section,
            "code": code,
            "inputs": inputs,
            "outs": outs(out),
            "revision": revision(),
            "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
            "host": {"machine": platform.machine(), "cores": os.cpu_count()} | ({"computes": computes} if computes else {}),
            "times": times,
        },
    )


def outs(out: str | Path) -> dict[str, str]:
    """Return {path: content digest} of the folders that a stage wrote into `out`, and of each file in them."""
    out = Path(out)
    if not out.is_dir():
        return {out.as_posix(): artifact.digest(out)}
    tops = [out] if (out / artifact.MANIFEST).is_file() else [path for path in sorted(out.iterdir()) if not path.name.startswith(".")]
    found = {top.as_posix(): artifact.digest(top) for top in tops}
    for top in tops:
        found |= {(top / name).as_posix(): entry["sha256"] for name, entry in (manifest.read(top) or {}).items()}
    return found


def is_as_recorded(out: Path, recorded: dict) -> bool:
    """True if `out` still has what its provenance records, byte for byte; paths that DVC does not keep, such as adapter/, may be gone."""
    there = {path: digest for path, digest in recorded["outs"].items() if Path(path).exists()}
    return bool(there) and there.items() <= outs(out).items()


def revision() -> str:
    """Return the commit of the code, with `+` if the tree has changes other than the outs of stages; "" outside git."""
    written = [":!artifacts", ":!*.provenance.json", ":!dvc.lock", ":!data.dvc"]
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "-uno", "--", ".", *written], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed.stdout.strip() else "")


def recorded() -> list[dict]:
    """Return every provenance below artifacts/ and runs/, in the working folder, and beside the outs elsewhere that runs/ names."""
    files = [file for below in ("artifacts/**/", "runs/**/", "") for file in sorted(Path().glob(f"{below}*.provenance.json"))]
    for run in sorted(Path("runs").glob("*/*/run.json")):
        if (out := read(run).get("out")) and provenance_file(out).is_file():
            files.append(provenance_file(out))
    entries = {file.resolve(): read(file) for file in files}
    return [entry for entry in entries.values() if "outs" in entry]


def read(file: Path) -> dict:
    """Return a provenance, or another JSON object; {} if the file is half-written: its stage never ended."""
    kinds = {"outs": dict, "inputs": dict, "stage": str, "identity": str, "code": str} if file.name.endswith(".provenance.json") else {}
    try:
        return artifact.read_json(file, **kinds)
    except InputError:
        return {}


def entries() -> tuple[list[dict], list[str]]:
    """Return (every known provenance: the recorded ones, then dvc.lock's for stages without a record of the version that the lock names;
    outs of the pipeline that exist and have neither)."""
    found, locked = recorded(), vouched.stages()
    silent = not all(any(tells(entry, stage, locked[stage]) for entry in found) for stage in locked)
    told, other = vouched.records(locked if silent else {})
    known = {digest for entry in found for digest in entry["outs"].values()}
    return [*found, *told], [out for out in other if artifact.digest(out) not in known]


def tells(entry: dict, stage: str, locked: dict) -> bool:
    """True if a record is of the version of a stage that dvc.lock names, by its outs, else (if none exists) by its section and code."""
    here = [out for out in vouched.outs(stage, locked) if Path(out).exists()]
    if entry["stage"] != stage or any(artifact.digest(out) not in entry["outs"].values() for out in here):
        return False
    params = locked["params"][vouched.CONFIG]
    return bool(here) or (entry["section"] == params.get(stage) and entry["code"] == params.get(f"code.{stage}"))


def find() -> dict[str, list[dict]]:
    """Return {content digest: its provenances}. Raises InputError if an artifact has no provenance."""
    found, unknown = entries()
    if unknown:
        raise InputError(untold(unknown))
    known: dict[str, list[dict]] = {}
    for entry in found:
        for digest in set(entry["outs"].values()):
            known.setdefault(digest, []).append(entry)
    return known


def untold(paths: list[str]) -> str:
    """Return the message about artifacts of unknown origin."""
    named = sorted({"/".join(Path(path).parts[:2]) for path in paths})
    return (
        f"{', '.join(paths)}: neither a provenance beside it nor dvc.lock tells what this version was made of; run "
        f"`dvc checkout --force {' '.join(named)}`, or `dvc repro`, and then the same command again"
    )
