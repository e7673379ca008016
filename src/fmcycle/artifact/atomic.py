"""Every durable write: temporary file, fsync, replace, fsync of the folder."""

import errno
import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from fmcycle.errors import InputError


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` so that a reader sees all of it or what stood there before.

    Raises InputError when the disk is full; the old file then still stands.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise InputError(f"{path}: no space left on the disk; free some and run the same command again") from error
        raise
    fsync_folder(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """`write_bytes` in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content) -> None:
    """`write_bytes` of sorted, indented JSON: the same content has the same bytes. NaN is a ValueError."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def replace_folder(partial: Path, folder: Path) -> None:
    """Put the finished `partial` where `folder` stands; its files are fsynced first."""
    for file in sorted(partial.rglob("*")):
        if file.is_file():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(partial, folder)
    fsync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def lock(path: str | Path):
    """Hold `path`.lock for this process; InputError names the process that holds it already."""
    file = Path(path).with_name(f".{Path(path).name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise InputError(f"{path}: {holder} is writing here; wait for it, or end it, then run the same command again") from None
        handle.truncate(0)
        handle.write(f"process {os.getpid()}")
        handle.flush()
        yield
