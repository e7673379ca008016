"""Read a tar archive, compressed or not, member by member, without unpacking members to the disk."""

import io
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from fmcycle.source.format.packed import leads_out
from fmcycle.source.format.stream import unpacked
from fmcycle.source.local import is_hidden

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2")


def is_tar(name: str) -> bool:
    """True for a tar archive, by its name."""
    return name.lower().endswith(SUFFIXES)


class Tarred:
    """Like `Packed`: `names` are the members that may be read, `refused` [(name, reason)] the others; "" is the archive's own end.

    A compressed archive is first decompressed into a temporary file, because its members are read in the order of their names.
    Raises Damaged for a decompression bomb.
    """

    def __init__(self, stream: BinaryIO, name: str):
        self.members: dict[str, tarfile.TarInfo] = {}
        self.refused: list[tuple[str, str]] = []
        if not name.lower().endswith(".tar"):
            packed, stream = unpacked(stream, name.lower().replace(".tgz", ".tar.gz")), cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
            shutil.copyfileobj(packed, stream, 1 << 20)
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        self.tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115
        try:
            for member in self.tar:
                name = posixpath.normpath(member.name)  # ./a.txt
                reason = "a name that another member has as well" if name in self.members else wrong(member, size)
                if reason:
                    self.refused.append((member.name, reason))
                elif member.isfile() and not is_hidden(PurePosixPath(name)):
                    self.members[name] = member
        except tarfile.TarError as error:
            self.refused.append(("", f"{error or 'damaged'}: what comes after it is left out"))
        else:
            stream.seek(self.tar.offset)
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile takes a broken header for the end, like a missing one
                self.refused.append(("", "damaged or cut short: what comes after the last member read is left out"))
        self.names = sorted(self.members)

    def open(self, name: str) -> BinaryIO:
        """The bytes of a member."""
        return cast(BinaryIO, self.tar.extractfile(self.members[name]))

    def size(self, names: Iterable[str]) -> int:
        """Bytes of members, in total."""
        return sum(self.members[name].size for name in names)


def wrong(member: tarfile.TarInfo, size: int) -> str | None:
    """Why a member of an archive of `size` bytes is not read, or None. A sparse file without bytes may claim a terabyte."""
    if leads_out(member.name):
        return "a name that leads out of the archive"
    if member.issym() or member.islnk():
        return "a link"
    if member.issparse():
        return "a sparse file"
    if member.isfile():
        return "cut short" if member.offset_data + member.size > size else None
    return None if member.isdir() else "not a regular file"
