"""Read a zip archive member by member, without unpacking it to the disk."""

import stat
import zipfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from fmcycle.source.format.stream import FREE, RATIO
from fmcycle.source.local import is_hidden


class Packed:
    """`names` are the members that may be read, `refused` [(name, reason)] those that lead out, links and decompression bombs."""

    def __init__(self, stream: BinaryIO):
        self.zip = zipfile.ZipFile(stream)
        self.names: list[str] = []
        self.refused: list[tuple[str, str]] = []
        for member in sorted(self.zip.infolist(), key=lambda member: member.filename):
            reason = "a name that another member has as well" if member.filename in self.names[-1:] else wrong(member)
            if reason:
                self.refused.append((member.orig_filename, reason))
            elif not member.is_dir() and not is_hidden(PurePosixPath(member.filename)):
                self.names.append(member.filename)

    def open(self, name: str) -> BinaryIO:
        """The bytes of a member."""
        return cast(BinaryIO, self.zip.open(name))

    def size(self, names: Iterable[str]) -> int:
        """Unpacked bytes of members, in total."""
        return sum(self.zip.getinfo(name).file_size for name in names)


def leads_out(name: str) -> bool:
    """True if a member of this name would be unpacked outside of the archive's folder, here or on another system."""
    return "\\" in name or "\0" in name or name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":"


def wrong(member: zipfile.ZipInfo) -> str | None:
    """Why a member is not read, or None."""
    if leads_out(member.orig_filename):
        return "a name that leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a symbolic link"
    if member.flag_bits & 1:
        return "encrypted"
    if member.file_size > FREE and member.file_size > RATIO * max(1, member.compress_size):
        return f"expands more than {RATIO} times: a decompression bomb?"
    return None
