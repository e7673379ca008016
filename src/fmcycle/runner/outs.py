"""Checks where a stage may write: a new folder, or one that an fmcycle run wrote; never over a person's files."""

import os
import subprocess
from pathlib import Path

import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import manifest, provenance
from fmcycle.artifact.manifest import MANIFEST
from fmcycle.errors import InputError
from fmcycle.tracking import run_record

ELSEWHERE = "choose another out=, or move it away"


def apart(out: Path, inputs: dict[str, Path | None]) -> None:
    """Raise InputError if `out` is an input, contains one or lies in one, because writing would change the input. inputs: {name: path}."""
    for name, path in inputs.items():
        if path is not None and _overlap(path.resolve(), out.resolve()):
            raise InputError(f"out={out}: inputs.{name} is {path}, which writing there would change; choose another out=")


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def claim(out: Path, stage: str) -> None:
    """Raise InputError if `out` holds files that git tracks or that no fmcycle run wrote."""
    if file := next((each for each in out.parents if each.exists() and not each.is_dir()), None):
        raise InputError(f"out={out}: {file} is a file; {ELSEWHERE}")
    if not out.exists() and not out.is_symlink():
        return
    if out.resolve() == Path.cwd():
        raise InputError(f"out={out}: the project folder itself; choose a folder in it")
    if not out.is_dir():
        raise InputError(f"out={out}: a file; a stage writes a folder: {ELSEWHERE}")
    if os.environ.get("DVC_STAGE"):
        return  # DVC deleted its own outs there; `artifact.create` checks again each folder that it replaces
    if tracked := tracked_by_git(out):
        raise InputError(f"out={out}: git tracks {tracked}; {ELSEWHERE}; the folders of dvc.yaml are written by `dvc repro`")
    if foreign := stranger(out, stage):
        raise InputError(f"out={out}: holds {foreign}, which no run of fmcycle wrote there; {ELSEWHERE}")


def claim_config(file: Path) -> None:
    """Raise InputError if `fmcycle compose` may not write `file`: it lies outside the project, or another program wrote it."""
    if not file.resolve().is_relative_to(Path.cwd()):
        raise InputError(f"out={file}: lies outside the project folder; choose a path inside it")
    if not file.exists() or os.environ.get("DVC_STAGE"):
        return
    try:
        before = yaml.safe_load(file.read_text()) if file.is_file() else None
    except (ValueError, yaml.YAMLError):
        before = None
    if not isinstance(before, dict) or not isinstance(before.get("code"), dict):
        raise InputError(f"out={file}: not written by `fmcycle compose`; {ELSEWHERE}")


def tracked_by_git(folder: Path) -> str | None:
    """Return a file in `folder` that git tracks; None if it tracks none, or outside a repository."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z", "--", str(folder)], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return next((name for name in listed.split("\0") if name and Path(name).exists()), None)


def stranger(out: Path, stage: str) -> Path | None:
    """Return a file in `out` that is in no manifest and no provenance; None if there is none, or if an unfinished run wrote there."""
    if (out / MANIFEST).exists():
        return manifest.stranger(out)
    if any(_stopped_at(out, file.parent) for file in Path("runs", stage).glob(f"*/{run_record.RUN}")):
        return None
    file = provenance.provenance_file(out)
    try:
        told = {Path(path).resolve() for path in artifact.read_json(file, outs=dict)["outs"]}
    except InputError:
        told = set()
    for path in manifest.visible(out):
        if not told & {path.resolve(), *path.resolve().parents}:
            return path
    return next((found for top in sorted(out.iterdir()) if (top / MANIFEST).is_file() and (found := manifest.stranger(top))), None)


def _stopped_at(out: Path, folder: Path) -> bool:
    begun = run_record.read(folder)
    return begun.get("out") == str(out) and begun.get("state") != "done"
