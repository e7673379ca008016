"""Durable writes: temporary file, fsync, replace, fsync of the folder."""

import errno
import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from fmcycle.errors import DiskFull, InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def full(error: BaseException | None) -> bool:
    """True if an error says that a disk, a quota or a file's largest size was reached; libraries in Rust say it in their message alone."""
    if error is None:
        return False
    named = any(f"(os error {number})" in str(error) for number in FULL)
    return named or (isinstance(error, OSError) and error.errno in FULL) or full(error.__cause__)


def no_space(path: str | Path) -> DiskFull:
    """Return the error of a full disk: the file, and what to free."""
    place = next(each for each in (Path(path).absolute(), *Path(path).absolute().parents) if each.exists())
    free = shutil.disk_usage(place).free / 1e6
    return DiskFull(
        f"{path}: no space left on the disk ({free:,.0f} MB free); delete runs in runs/ that you no longer need, or old versions of data "
        "and models with `dvc gc --workspace`, then run the same command again"
    )


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` atomically: a reader sees all of it or the old file.

    Raises DiskFull if the disk is full, and keeps the old file.
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
        if full(error):
            raise no_space(path) from error
        raise
    fsync_folder(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` in UTF-8 with `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content) -> None:
    """Write sorted, indented JSON with `write_bytes`: equal content has equal bytes. Raises ValueError for NaN."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def replace_folder(partial: Path, folder: Path) -> None:
    """Replace `folder` by the finished `partial`, whose files are fsynced first."""
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
    """Hold the lock of `path` for this process. Raises InputError that names the process which already holds it."""
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
