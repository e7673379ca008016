"""Provenance from dvc.lock, for artifacts of the pipeline that have no record beside them."""

import functools
import json
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import manifest
from fmcycle.errors import InputError

LOCK, CONFIG = Path("dvc.lock"), "artifacts/config.yaml"


def stages() -> dict[str, dict]:
    """Return {stage: its last run in dvc.lock}, except compose, which makes no artifact; {} without a lock."""
    found = yaml.safe_load(LOCK.read_text()).get("stages", {}) if LOCK.is_file() and Path(".dvc").is_dir() else {}
    return {name: stage for name, stage in found.items() if CONFIG in stage.get("params", {})}


def outs(name: str, stage: dict) -> dict[str, str]:
    """Return {path: md5} of a stage's outs; `sources` is imported as `data`."""
    found = {out["path"]: out.get("md5", "") for out in stage.get("outs", [])}
    return found | ({"data": found["sources"]} if name == "collect" and "sources" in found else {})


def status(*arguments: str) -> dict[str, list]:
    """Return {stage: its `dvc status`}. Raises InputError if the command fails."""
    done = subprocess.run([sys.executable, "-m", "dvc", "status", "--json", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"dvc status: {done.stderr.strip()}; repair it and run the same command again")
    return json.loads(done.stdout or "{}")


@functools.cache
def changed(_written: float) -> frozenset[str]:
    """Return the outs that exist in another version than dvc.lock's."""
    parts = [part for stage in status().values() for part in stage if isinstance(part, dict)]
    return frozenset(path for part in parts for path, how in part.get("changed outs", {}).items() if how == "modified")


def records(locked: dict[str, dict]) -> tuple[list[dict], list[str]]:
    """Return (dvc.lock's stages in the form of a provenance without times; outs that exist in another version than the lock's).

    A digest is that of the content if the path exists, else DVC's md5.
    """
    if not locked:
        return [], []
    other = changed(LOCK.stat().st_mtime)
    left = {name: outs(name, stage) for name, stage in locked.items()}
    known = {dep["path"]: dep.get("md5", "") for stage in locked.values() for dep in stage.get("deps", [])}
    known |= {path: md5 for some in left.values() for path, md5 in some.items()}

    def digest(path: str) -> str:
        return artifact.digest(path) if Path(path).exists() else f"md5:{known.get(path, '')}"

    found = []
    for name, stage in locked.items():
        mine = left[name].keys() - other
        below = {path for path in known for out in mine if path.startswith(f"{out}/")}
        given = [word.lstrip("+").removeprefix("inputs.").split("=", 1) for word in shlex.split(stage["cmd"]) if "inputs." in word]
        params = stage["params"][CONFIG]
        record = {"stage": name, "section": params.get(name), "code": params.get(f"code.{name}", ""), "revision": ""}
        record |= {"inputs": {key: {"path": path, "digest": digest(path)} for key, path in given}}
        record |= {"outs": {path: digest(path) for path in sorted(mine | below)} | members(mine)}
        found.append(record | {"identity": artifact.digest_of([name, record["section"], record["code"], record["inputs"]]), "lock": True})
    return found, sorted(path for some in left.values() for path in some if path in other)


def members(folders: set[str]) -> dict[str, str]:
    """Return {file: sha256} of the files in the manifests of folders that exist."""
    return {f"{folder}/{name}": entry["sha256"] for folder in folders for name, entry in (manifest.read(Path(folder)) or {}).items()}


def missing() -> dict[str, str]:
    """Return {out: stage} of the outs that dvc.lock names and that do not exist."""
    return {path: name for name, stage in stages().items() for path in outs(name, stage) if path != "sources" and not Path(path).exists()}
