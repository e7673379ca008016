"""`manifest.json`: the files of an artifact folder with their sizes and digests. The folder has no other files."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fmcycle.artifact import digest_cache
from fmcycle.errors import InputError

MANIFEST = "manifest.json"
SHA256 = re.compile(r"[0-9a-f]{64}")


def visible(folder: Path) -> Iterator[Path]:
    """Yield every file and link below `folder`, sorted, except hidden ones (`.gitkeep`, locks, caches); links are not followed."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if Path(where, name).is_symlink()]
        yield from (Path(where, name) for name in sorted([*files, *links]) if not name.startswith("."))


def listing(folder: Path) -> dict[str, dict]:
    """Return {relative path: {"size", "sha256"}} of every file in `folder` except its manifest; a link to a file counts as the file."""
    return {
        file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": digest_cache.sha256(file)}
        for file in visible(folder)
        if file.is_file() and not (file == folder / MANIFEST and is_ours(file))
    }


def read(folder: Path) -> dict[str, dict] | None:
    """Return the manifest of `folder`; None if it has none. Raises InputError if the file has not the form of `listing`."""
    file = folder / MANIFEST
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise InputError(f"{file}: not readable as JSON") from None
    if wrong := fault(found):
        raise InputError(f"{file}: not a manifest of fmcycle ({wrong})")
    return found


def fault(content) -> str | None:
    """Return why plain data is not a manifest of fmcycle; None if it is one."""
    if not isinstance(content, dict):
        return "not a mapping of file names"
    for name, entry in content.items():
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or PurePosixPath(name).as_posix() != name or name == MANIFEST:
            return f"{name!r} is not a path inside the folder"
        right = isinstance(entry, dict) and isinstance(entry.get("size"), int) and isinstance(entry.get("sha256"), str)
        if not right or not SHA256.fullmatch(entry["sha256"]):
            return f"{name} has no size and sha256"
    return None


def is_ours(file: Path) -> bool:
    """True if `file` is a manifest of fmcycle, not another program's file of that name."""
    try:
        return file.name == MANIFEST and bool(read(file.parent) is not None)
    except (InputError, OSError):
        return False


def unlisted(folder: Path, listed: dict | None = None) -> Path | None:
    """Return a file in `folder` that its manifest does not list; None if there is none. Manifests of inner folders may be unlisted."""
    listed = (read(folder) or {}) if listed is None else listed
    for file in visible(folder):
        if file != folder / MANIFEST and file.relative_to(folder).as_posix() not in listed and not is_ours(file):
            return file
    return None


def stranger(folder: Path) -> Path | None:
    """Return what shows that `folder` is no artifact: itself if it is a file, else a file that no manifest lists; None if it is one."""
    if not folder.is_dir():
        return folder
    if not is_ours(folder / MANIFEST):
        return next(visible(folder), None)
    return unlisted(folder)
