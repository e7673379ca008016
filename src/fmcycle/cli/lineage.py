"""Shows the tree of inputs that an artifact was made from, back to the raw data."""

import sys
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.artifact.provenance import EMPTY, WIDE, find, provenance_file
from fmcycle.errors import InputError


def origin(path: str, digest: str, known: dict[str, list[dict]]) -> dict | None:
    """Return the provenance of `path`: of the stage that wrote these bytes there or elsewhere, or whose out has it; None if unknown."""
    same = known.get(digest, [])
    if own := [entry for entry in same if entry["outs"].get(path) == digest] or (same if digest != EMPTY else []):
        return own[0]
    if Path(path).exists() and artifact.digest(path) != digest:
        return None  # an earlier version
    every = [entry for some in known.values() for entry in some]
    for folder in (Path(path), *Path(path).parents):
        if (folder / artifact.MANIFEST).is_file() and (entries := known.get(artifact.digest(folder), [])):
            return entries[0]
        if holds := [entry for entry in every if folder.as_posix() in entry["outs"] and not folder.exists()]:
            return holds[0]
    return None


def show(path: str | Path) -> None:
    """Print the tree of inputs behind `path`. Raises InputError if `path` does not exist or is damaged."""
    from rich.console import Console
    from rich.tree import Tree

    path, known = Path(path), find()
    top = artifact.verify(path)
    tree = Tree(f"[bold]{path}[/] {top[:12]}")
    members = {path.as_posix(): top}
    if top not in known and path.is_dir():
        members = {item.as_posix(): artifact.digest(item) for item in sorted(path.iterdir()) if not item.name.startswith(".")}
    seen: set[str] = set()
    for name, digest in members.items():
        _branch(tree, name, digest, known, seen)
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE).print(tree)


def _branch(tree, path: str, digest: str, known: dict[str, list[dict]], seen: set[str]) -> None:
    entry = origin(path, digest, known)
    if entry is None:
        if Path(path).parts[:1] != ("artifacts",):
            return  # the user's own file
        if not Path(path).exists() or artifact.digest(path) == digest:
            raise InputError(f"{path}: its origin is unknown: `git pull` brings its provenance, `dvc repro` makes it again")
        record = provenance_file(Path(*Path(path).parts[:2]))
        tree.add(f"[yellow]an earlier version; git's history may have its record: git log -p {record}[/]")
        return
    key = entry["identity"]
    if key in seen:
        tree.add(f"{entry['stage']} [dim](above)[/]")
        return
    seen.add(key)
    told = "from dvc.lock" if "lock" in entry else f"identity {key[:12]}"
    node = tree.add(f"{entry['stage']} [dim]{told}, code {entry['code'][:12]}, revision {entry['revision'][:8] or 'none'}[/]")
    for name, given in sorted(entry["inputs"].items()):
        _branch(node.add(f"{name}: {given['path']} [dim]{given['digest'][:12]}[/]"), given["path"], given["digest"], known, seen)
