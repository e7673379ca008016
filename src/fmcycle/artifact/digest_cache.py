"""Cache of sha256 digests: a large file is hashed again only if its stamp changed.

The stamp is device, inode, size, mtime and ctime. No program can set the ctime, so setting the mtime back hides no change. The stamp
misses a change after the clock was set back, and bits that decay on the medium: delete `.cache/digests.json` to hash every file again.
"""

import hashlib
import json
import os
import time
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.errors import InputError

CACHE = Path(".cache/digests.json")
LARGE = 2**24  # bytes; a smaller file is hashed every time, in some milliseconds
SETTLED = 2e9  # nanoseconds since the last change: a second one within the resolution of the file system's clock would not show
MOST = 20_000  # files in the cache


def sha256(path: str | Path) -> str:
    """Return the hex digest of a file's bytes; reads a large file only if its stamp changed."""
    size = os.stat(path).st_size
    if size < LARGE:
        return read(path)
    before = _stamp(path)
    key, known = f"{before[0]}:{before[1]}", _known()
    if key in known and known[key][:-1] == before[2:]:
        return known[key][-1]
    found = read(path)
    if _stamp(path) == before and time.time_ns() - max(before[3:]) > SETTLED:
        _remember(key, [*before[2:], found])
    return found


def read(path: str | Path) -> str:
    """Return the hex digest of a file's bytes; always reads them."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _stamp(path: str | Path) -> list[int]:
    found = os.stat(path)
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _known() -> dict[str, list]:
    """Return {"device:inode": [size, mtime, ctime, sha256]}."""
    try:
        return json.loads(CACHE.read_text())
    except (OSError, ValueError):
        return {}


def _remember(key: str, entry: list) -> None:
    newest = sorted((_known() | {key: entry}).items(), key=lambda item: item[1][2])[-MOST:]
    try:
        atomic.write_json(CACHE, dict(newest))
    except (OSError, InputError):
        return  # a read-only folder: the file is hashed again next time
