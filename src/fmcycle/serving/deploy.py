"""Deployment: a package that passed its gate becomes `deployed/<tag>/`, and `deployed.json` names it."""

import json
import os
import shutil
import time
from pathlib import Path

from fmcycle import artifact, durable
from fmcycle.error import GateError, InputError

PACKAGED = ("fmcycle.engine.", "fmcycle.guardrail.", "fmcycle.retriever.")  # all that a packaged model may name
# code, or formats that run code when they are loaded
EXECUTABLE = {".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
REPAIR = "run `fmcycle deploy`, which copies it from artifacts/package again"


def gate(package: str | Path = "artifacts/package") -> dict:
    """The verdict on `package`. Raises GateError (exit code 3) that says what failed and by how much."""
    package = Path(package)
    if not (package / "gate.json").is_file():
        raise InputError(f"{package}/gate.json: not there; run `dvc repro package`")
    artifact.verify(package)
    verdict = json.loads((package / "gate.json").read_text())
    if not verdict["passed"]:
        failed = [f"  {check['why']}" for check in verdict["checks"] if not check["passed"]]
        raise GateError(f"{package}: refused by {len(failed)} of {len(verdict['checks'])} bounds\n" + "\n".join(failed))
    return verdict


def deploy(package: str | Path = "artifacts/package", root: str | Path = ".") -> Path:
    """Make `package` the deployed model of `root`; return its folder. Deploying it again repairs a damaged copy.

    The one before goes to `deployed/old/`, a package that can be deployed again. Raises GateError when the gate refused
    it, InputError when it is damaged or not what was evaluated; after either, what was deployed before still is.
    """
    package, root = Path(package), Path(root)
    gate(package)
    content = check_package(package)
    tag, folder = content["tag"], root / "deployed" / content["tag"]
    with durable.lock(root / "deployed" / "current"):
        if not _sound(folder):
            with artifact.create(folder) as partial:
                shutil.copytree(package, partial, dirs_exist_ok=True, copy_function=shutil.copyfile)
                (partial / artifact.MANIFEST).unlink()
        state = _state(root) or {"current": None, "history": []}
        if state["current"] != tag:
            entry = {"tag": tag, "model": content["model"], "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            durable.write_json(root / "deployed.json", {"current": tag, "history": [*state["history"], entry]})
        _put_away(folder)
    return folder


def _put_away(current: Path) -> None:
    """Move every other deployed model to old/, so that a Bento holds one model only."""
    old = current.parent / "old"
    for folder in current.parent.iterdir():
        if folder.is_dir() and folder not in (current, old) and not folder.name.startswith("."):
            old.mkdir(exist_ok=True)
            shutil.rmtree(old / folder.name, ignore_errors=True)
            os.replace(folder, old / folder.name)


def refresh(package: str | Path = "artifacts/package", root: str | Path = ".") -> str:
    """Deploy `package` if it passed and never was deployed; return one line that says what was done.

    Never raises for a bad candidate; a model that a person went back to stays until there is a new candidate.
    """
    package, state = Path(package), _state(Path(root))
    if not (package / "package.json").is_file():
        return f"{package}: no candidate"
    try:
        tag = json.loads((package / "package.json").read_text())["tag"]
        if state and tag in [entry["tag"] for entry in state["history"]]:
            return f"no new candidate: {tag} was deployed before"
        return f"deployed {deploy(package, root).name}"
    except (GateError, InputError, ValueError, KeyError) as error:
        return f"candidate not deployed: {error}"


def current(root: str | Path = ".") -> tuple[Path, dict]:
    """(folder, package.json) of the deployed model, verified byte by byte. Raises InputError naming the file and the repair."""
    root = Path(root)
    state = _state(root)
    if state is None:
        raise InputError(f"{root / 'deployed.json'}: nothing is deployed; run `dvc repro`, then `fmcycle deploy`")
    folder = root / "deployed" / state["current"]
    try:
        artifact.verify(folder)
        package = check_package(folder)
        if package["tag"] != state["current"]:
            raise InputError(f"{folder}/package.json: it is {package['tag']}, deployed.json says {state['current']}; ")
    except InputError as error:
        raise InputError(f"{str(error).rsplit('; ', 1)[0]}; {REPAIR}") from error
    return folder, package


def check_package(folder: Path) -> dict:
    """The package.json of `folder`, held against the model in it: digests, allowed names, no code, no pickle."""
    package = json.loads((folder / "package.json").read_text())
    artifact.verify(folder / "model")
    served = {key: package[key] for key in ("engine", "guardrail")}
    found = artifact.tagged(package | artifact.describe(folder / "model") | {"config": artifact.digest_of(served)})
    for key in ("template", "processor", "model", "config", "tag"):
        if found[key] != package[key]:
            raise InputError(f"{folder}: {key} {found[key][:12]}..., but {package[key][:12]}... was evaluated; run `dvc repro package`")
    for target in targets(served):
        if not target.startswith(PACKAGED):
            allowed = "*, ".join(PACKAGED)
            raise InputError(f"{folder}/package.json: names {target}; a packaged model may name {allowed}* only; run `dvc repro package`")
    for file in (folder / "model").rglob("*"):
        if file.suffix in EXECUTABLE:
            raise InputError(f"{file}: code or a pickle inside a model, which is never run; remove it and run `dvc repro package`")
    return package


def targets(node) -> list[str]:
    """Every `_target_` in a config node."""
    if isinstance(node, list):
        return [target for item in node for target in targets(item)]
    if isinstance(node, dict):
        return ([node["_target_"]] if "_target_" in node else []) + targets(list(node.values()))
    return []


def _sound(folder: Path) -> bool:
    try:
        return folder.is_dir() and bool(artifact.verify(folder) and check_package(folder))
    except (InputError, OSError, ValueError, KeyError):
        return False


def _state(root: Path) -> dict | None:
    file = root / "deployed.json"
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text())
    except ValueError:
        raise InputError(f"{file}: not readable as JSON; remove it and run `fmcycle deploy`") from None
