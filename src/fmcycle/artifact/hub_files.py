"""Files of the hub: their names, sizes and digests are checked, whatever the server says."""

import hashlib
import os
import re
import shutil
from glob import escape
from pathlib import Path

import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import hub
from fmcycle.artifact.hub import Kind, Reference
from fmcycle.errors import InputError

TEXT = re.compile(r"(licen[sc]e|copying|notice)[\w.-]*", re.I)
ODD = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
CARD = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*$", re.S | re.M)
FREE = 1 << 30  # bytes that a fetch leaves free on the disk


def checked(asked: Reference, siblings: list) -> dict:
    """Return {name: what the hub declares of the file}. Raises InputError for a name that no folder can hold."""
    found = {each.rfilename: each for each in siblings}
    for name in found:
        parts = name.split("/")
        if ODD.search(name) or any(part in ("", ".", "..") for part in parts) or len(name.encode("utf-8", "replace")) > 1000:
            raise InputError(f"{asked}: holds a file named {name!r}, which leads out of a folder or fits into none; name another revision")
    return found


def download(asked: Reference, kind: Kind, names: list[str], files: dict) -> Path:
    """Return the snapshot in huggingface_hub's own cache with `names` in it, each with the digest that the hub declares."""
    from huggingface_hub import snapshot_download

    size = sum(files[name].size or 0 for name in names)
    top = next(each for each in (hub.home(asked, kind), *hub.home(asked, kind).parents) if each.exists())
    free = shutil.disk_usage(top).free
    if size + FREE > free:
        raise InputError(f"{asked}: needs {size / 1e9:,.0f} GB, {free / 1e9:,.0f} GB are free; free some, or set HF_HOME and FMCYCLE_CACHE")
    found = snapshot_download(asked.repo, repo_type=kind, revision=asked.revision, allow_patterns=[escape(name) for name in names])
    for name in names:
        same(asked, Path(found) / name, files[name])
    return Path(found)


def same(asked: Reference, file: Path, declared) -> None:
    """Raise InputError, and delete the file, if it has not the digest that the hub declares for it."""
    if declared.lfs is not None:
        expected, found = declared.lfs.sha256, artifact.sha256(file.resolve()) if file.is_file() else ""
    else:
        content = file.read_bytes() if file.is_file() else b""
        expected, found = declared.blob_id, hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if expected and found != expected:
        if file.is_file():
            file.resolve().unlink()
            file.unlink(missing_ok=True)
        raise InputError(
            f"{asked}: {file.name} has the digest {found[:12]}..., the hub declares {expected[:12]}...: it was changed or cut on its way; "
            "run the same command again, and ask its owner if it stays so"
        )


def link(file: Path, target: Path) -> None:
    """Put a file of huggingface_hub's cache to `target`, as a hard link if both lie on one disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def head(folder: Path) -> dict | None:
    """Return the metadata of the card in `folder`: {} without a card, None if it can't be read."""
    card = folder / "README.md"
    found = CARD.search(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
    return parsed(found[1]) if found else {}


def mapping(file: Path) -> dict | None:
    """Return the content of a YAML file: {} without one, None if it is no mapping."""
    return parsed(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else {}


def parsed(text: str) -> dict | None:
    """Return YAML's mapping in `text`; None if it is none."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None
    return content if isinstance(content, dict) else {} if content is None else None


def licence(folder: Path) -> str | None:
    """Return the licence that the card in `folder`, or one level below, states, several joined by AND; None if it states none."""
    content = next((found for card in sorted(folder.glob("**/README.md")) if (found := head(card.parent))), {})
    named = content.get("license_name") or content.get("license")
    return " AND ".join(map(str, named)) if isinstance(named, list) else str(named) if named else None
