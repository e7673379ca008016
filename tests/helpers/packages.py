"""Deployed packages that are whole and consistent, and wrong in one thing."""

import json
import shutil
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.model import store as model_store


def repackaged(project: Path, **changes) -> None:
    """Another package in the place of what is deployed, whole and consistent: only `changes` of it are wrong."""
    folder = next((project / "deployed").glob("*/package.json")).parent
    atomic.write_json(folder / "model/manifest.json", artifact.listing(folder / "model"))
    package = json.loads((folder / "package.json").read_text()) | changes
    package |= model_store.describe(folder / "model") | {
        "config": artifact.digest_of({key: package[key] for key in ("engine", "guardrail")})
    }
    atomic.write_json(folder / "package.json", artifact.tagged(package))
    atomic.write_json(folder / "manifest.json", artifact.listing(folder))
    shutil.rmtree(project / "artifacts")
    shutil.move(folder, folder.with_name(artifact.tagged(package)["tag"]))
    atomic.write_json(project / "deployed.json", {"current": artifact.tagged(package)["tag"], "history": []})
