"""Deploys a package that passed its gate: copies it to `deployed/<tag>/` and names it in `deployed.json`."""

import os
import re
import shutil
import time
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.config import code_digest, nouns
from fmcycle.errors import GateError, InputError
from fmcycle.model import store as model_store
from fmcycle.serving.probe import probe

PACKAGED = ("engine", "guardrail")  # the nouns whose nodes a package may name
KINDS: dict[str, type] = dict.fromkeys(("tag", "model", "processor", "template", "config"), str) | {"engine": dict, "guardrail": dict}
# files of code, and formats that run code when a library loads them
EXECUTABLE = {".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
REPAIR = "run `fmcycle deploy`, which copies it from artifacts/package again"


def gate(package: str | Path = "artifacts/package") -> dict:
    """Return the verdict on `package`. Raises GateError (exit code 3) with the failed bounds and by how much each fails."""
    package = Path(package)
    if not (package / "gate.json").is_file():
        raise InputError(f"{package}/gate.json: not there; run `dvc repro package`")
    artifact.verify(package, whole=True)
    verdict = artifact.read_json(package / "gate.json", passed=bool, checks=list)
    if not verdict["passed"]:
        failed = [f"  {check['why']}" for check in verdict["checks"] if isinstance(check, dict) and check.get("why")]
        raise GateError(f"{package}: refused by {len(failed)} of {len(verdict['checks'])} bounds\n" + "\n".join(failed))
    return verdict


def deploy(package: str | Path = "artifacts/package", root: str | Path = ".") -> Path:
    """Deploy `package` in the project `root`; return its folder. Deploying a package again repairs a damaged copy.

    The package before moves to `deployed/old/` and can be deployed again. Raises GateError if the gate refused the package, and InputError
    if it is damaged, differs from the evaluated model, or gives no answer; then the package before stays deployed.
    """
    package, root = Path(package), Path(root)
    gate(package)
    content = check_package(package)
    probe(package / "model", {key: content[key] for key in PACKAGED})
    tag, folder = content["tag"], root / "deployed" / content["tag"]
    with atomic.lock(root / "deployed" / "current"):
        if not _sound(folder):
            with artifact.create(folder, ours=True) as partial:
                shutil.copytree(package, partial, dirs_exist_ok=True, copy_function=shutil.copyfile)
                (partial / artifact.MANIFEST).unlink()
        state = _state(root) or {"current": None, "history": []}
        if state["current"] != tag:
            entry = {"tag": tag, "model": content["model"], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            atomic.write_json(root / "deployed.json", {"current": tag, "history": [*state["history"], entry]})
        _put_away(folder)
    return folder


def _put_away(current: Path) -> None:
    """Move every other deployed package to old/, so that a Bento holds one model only."""
    old = current.parent / "old"
    for folder in current.parent.iterdir():
        if folder.is_dir() and folder not in (current, old) and not folder.name.startswith("."):
            old.mkdir(exist_ok=True)
            shutil.rmtree(old / folder.name, ignore_errors=True)
            os.replace(folder, old / folder.name)


def refresh(package: str | Path = "artifacts/package", root: str | Path = ".") -> str:
    """Deploy `package` if it passed and was never deployed; return one line that reports the result.

    A bad candidate raises nothing. If a person went back to an earlier package, it stays until there is a new candidate.
    """
    package, state = Path(package), _state(Path(root))
    if not (package / "package.json").is_file():
        return f"{package}: no candidate"
    try:
        tag = artifact.read_json(package / "package.json", tag=str)["tag"]
        if state and tag in [entry.get("tag") for entry in state["history"]]:
            return f"no new candidate: {tag} was deployed before"
        return f"deployed {deploy(package, root).name}"
    except (GateError, InputError) as error:
        return f"candidate not deployed: {error}"


def current(root: str | Path = ".") -> tuple[Path, dict]:
    """Verify the deployed package byte by byte; return (folder, package.json). Raises InputError with the file and the repair."""
    root = Path(root)
    state = _state(root)
    if state is None:
        raise InputError(f"{root / 'deployed.json'}: nothing is deployed; run `dvc repro`, then `fmcycle deploy`")
    folder = root / "deployed" / state["current"]
    try:
        artifact.verify(folder, whole=True)
        package = check_package(folder)
        if package["tag"] != state["current"]:
            raise InputError(f"{folder}/package.json: it is {package['tag']}, deployed.json says {state['current']}; ")
    except InputError as error:
        raise InputError(f"{str(error).rsplit('; ', 1)[0]}; {REPAIR}") from error
    return folder, package


def check_package(folder: Path) -> dict:
    """Check the package.json of `folder` against its model and return it: digests, names of engine and guards, their code, no pickle.

    Raises InputError with the file and the repair.
    """
    file = folder / "package.json"
    package = artifact.read_json(file, **KINDS)
    artifact.verify(folder / "model", whole=True)
    served = {key: package[key] for key in PACKAGED}
    found = artifact.tagged(package | model_store.describe(folder / "model") | {"config": artifact.digest_of(served)})
    for key in ("template", "processor", "model", "config", "tag"):
        if found[key] != package[key]:
            raise InputError(f"{folder}: {key} {found[key][:12]}..., but {package[key][:12]}... was evaluated; run `dvc repro package`")
    if problems := [line for key in PACKAGED for line in nouns.problems(package[key], key, nouns.NOUNS[key])]:
        raise InputError(f"{file}: {problems[0]}; a packaged model names engines and guards only; run `dvc repro package`")
    if "_target_" not in package["engine"]:
        raise InputError(f"{file}: engine names no `_target_`; run `dvc repro package`")
    known, own = package.get("code", {}), code_digest.own(served)
    if changed := sorted(name for name in {*own, *known} if own.get(name) != known.get(name)):
        raise InputError(f"{file}: {changed[0]} is not the code that was packaged; put it back, or run `dvc repro package`")
    for path in (folder / "model").rglob("*"):
        if path.suffix in EXECUTABLE:
            raise InputError(f"{path}: code or a pickle inside a model, which is never run; remove it and run `dvc repro package`")
    return package


def _sound(folder: Path) -> bool:
    try:
        return folder.is_dir() and bool(artifact.verify(folder) and check_package(folder))
    except (InputError, OSError):
        return False


def _state(root: Path) -> dict | None:
    file = root / "deployed.json"
    if not file.is_file():
        return None
    state = artifact.read_json(file)
    history, tag = state.get("history"), state.get("current")
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history) or not re.fullmatch("[0-9a-f]{16}", str(tag)):
        raise InputError(f"{file}: no record of deployments, `current` and `history`; remove it and run `fmcycle deploy`")
    return state
