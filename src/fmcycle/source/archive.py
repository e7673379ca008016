"""A wheel read as a zip file: nothing of it is unpacked, imported or run."""

import gzip
import io
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from fmcycle.error import InputError

MEMBER_LIMIT = 64 << 20  # bytes unpacked; the largest honest member seen is 20 MB
TOTAL_LIMIT = 1 << 30
DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, OSError, EOFError)


class Archive:
    """The members of a zip file by name. Every name and size is checked on opening.

    Raises InputError for a file that is no zip, an absolute or climbing name, a link, or a member or total beyond the limits.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.zip = zipfile.ZipFile(self.path)
        except DAMAGE as error:
            raise InputError(f"{self.path}: not a readable zip file ({error}); delete it and run the same command again") from error
        members = self.zip.infolist()
        for member in members:
            self._check(member)
        if sum(member.file_size for member in members) > TOTAL_LIMIT:
            raise self._refusal("the whole archive", f"unpacks to more than {TOTAL_LIMIT} bytes")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.zip.close()

    def names(self) -> list[str]:
        """Member names, sorted, folders left out."""
        return sorted(name for name in self.zip.namelist() if not name.endswith("/"))

    @property
    def date(self) -> str:
        """The day that the youngest member was written, as 2026-01-31; "" where the archive hides it (a zip file's first year is 1980)."""
        year, month, day = max((member.date_time[:3] for member in self.zip.infolist()), default=(1980, 1, 1))
        return f"{year}-{month:02}-{day:02}" if year > 1980 else ""

    def read(self, name: str) -> bytes:
        """The bytes of a member; one ending in .gz is unpacked. Raises InputError when it is damaged or too large."""
        try:
            content = self.zip.read(name)
            if name.endswith(".gz"):
                content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MEMBER_LIMIT + 1)
        except (*DAMAGE, KeyError) as error:
            raise self._refusal(name, f"cannot be read ({error})") from error
        if len(content) > MEMBER_LIMIT:
            raise self._refusal(name, f"unpacks to more than {MEMBER_LIMIT} bytes")
        return content

    def text(self, name: str) -> str:
        """`read` in UTF-8."""
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
        if member.file_size > MEMBER_LIMIT:
            raise self._refusal(name, f"unpacks to {member.file_size} bytes, more than {MEMBER_LIMIT}")

    def _refusal(self, name: str, why: str) -> InputError:
        return InputError(f"{self.path}: member {name!r} {why}; delete the file, and pin a release in conf/source/ that is sound")
