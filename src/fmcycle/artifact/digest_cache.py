"""Digests of large files, made once: a file that its stamp says is unchanged is not read again.

The stamp is device, inode, size, time of its content and time of its inode. The last one can't be set, so putting back the time of the
content hides nothing; what it leaves out is a clock that was set back, and a medium that changes bits by itself: without
`.cache/digests.json` everything is read again.
"""

import hashlib
import json
import os
import time
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.errors import InputError

CACHE = Path(".cache/digests.json")
LARGE = 2**24  # bytes: what is smaller is read in some milliseconds, every time
SETTLED = 2e9  # nanoseconds since the last change: within the resolution of a file system's clock a second change would not show
MOST = 20_000  # files that are remembered


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes, read where it is small or changed since they were last."""
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
    """Hex digest of a file's bytes as they are now."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _stamp(path: str | Path) -> list[int]:
    found = os.stat(path)
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _known() -> dict[str, list]:
    """{"device:inode": [size, time of the content, time of the inode, sha256]}."""
    try:
        return json.loads(CACHE.read_text())
    except (OSError, ValueError):
        return {}


def _remember(key: str, entry: list) -> None:
    newest = sorted((_known() | {key: entry}).items(), key=lambda item: item[1][2])[-MOST:]
    try:
        atomic.write_json(CACHE, dict(newest))
    except (OSError, InputError):
        return  # a folder that can't be written to: the file is read again
