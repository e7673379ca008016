"""Bounded streams of bytes: a file that changes, a decompression bomb or an endless line raises Damaged."""

import bz2
import gzip
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

CHUNK = 8 << 20  # bytes read at a time
LIMIT = 32 << 20  # bytes of a line, a document, an image; the largest book of Project Gutenberg's common ones has 6 MB
RATIO = 200  # text compresses 3 to 20 times, logs of one line up to 100
FREE = 64 << 20  # bytes that a file may expand to whatever its ratio
PACKED = (".gz", ".zst", ".bz2")


class Damaged(ValueError):
    """The reason why the rest of a file cannot be read, which becomes one row of the quarantine."""


class Watched(io.RawIOBase):
    """A file's bytes; raises Damaged as soon as its size or mtime (ns) differs from `size` and `changed`."""

    def __init__(self, path: Path, size: int, changed: int):
        if path.exists() and not path.is_file():
            raise Damaged("not a regular file")
        self.file = open(path, "rb", buffering=0)  # noqa: SIM115  closed in close()
        self.known = (size, changed)
        self.check()

    def check(self) -> None:
        """Raises Damaged when somebody wrote into the file."""
        state = os.fstat(self.file.fileno())
        if (state.st_size, state.st_mtime_ns) != self.known:
            raise Damaged("changed while it was read: the rest is left out")

    def readinto(self, buffer) -> int:
        count = self.file.readinto(buffer)
        self.check()
        return count

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)  # without the copy that RawIOBase makes
        self.check()
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self.file.close()
        super().close()


class Expanded(io.RawIOBase):
    """The decompressed bytes of a file; raises Damaged if there are far more of them than text expands to."""

    def __init__(self, packed: BinaryIO, suffix: str):
        self.packed, self.count = packed, 0
        if suffix == ".gz":
            self.plain: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=packed))
        elif suffix == ".bz2":
            self.plain = cast(BinaryIO, bz2.BZ2File(packed))
        else:
            self.plain = cast(
                BinaryIO, zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed, read_across_frames=True, closefd=False)
            )

    def readinto(self, buffer) -> int:
        piece = self.plain.read(min(len(buffer), 1 << 20))
        buffer[: len(piece)] = piece
        self.count += len(piece)
        if self.count > FREE and self.count > RATIO * self.packed.tell():
            raise Damaged(f"expands more than {RATIO} times: a decompression bomb?")
        return len(piece)

    def readable(self) -> bool:
        return True


def at_once(path: str, size: int, changed: int) -> bytes | None:
    """The bytes of a regular file of `size` bytes and mtime `changed` (ns), by as few calls as there can be.

    None for a link, a file that changed, one that can't be read, and one longer than LIMIT: `Watched` and `read_whole` have the reason.
    """
    if size > LIMIT:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        content, state = os.read(handle, size + 1), os.fstat(handle)
    except OSError:
        return None
    finally:
        os.close(handle)
    return content if (state.st_size, state.st_mtime_ns) == (len(content), changed) == (size, changed) else None


def unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    """`stream`, decompressed if `name` ends in .gz, .zst or .bz2."""
    suffix = Path(name).suffix.lower()
    return io.BufferedReader(Expanded(stream, suffix), 1 << 20) if suffix in PACKED else stream  # type: ignore[type-var,return-value]


def read_whole(stream: BinaryIO) -> bytes:
    """Read the whole stream. Raises Damaged if it is longer than LIMIT."""
    content = b""
    while len(content) <= LIMIT and (piece := stream.read(LIMIT + 1 - len(content))):
        content += piece
    if len(content) > LIMIT:
        raise Damaged(f"longer than {LIMIT >> 20} MiB: cut it into documents")
    return content


def blocks(stream: BinaryIO, offset: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes | None]]:
    """(offset, whole lines) of a stream whose position is `offset`, up to `end`; (offset, None) for a line longer than LIMIT.

    The last line needs no line end. Memory: one block and the longest line.
    """
    rest: list[bytes] = []
    held, start, overlong = 0, offset, False
    position = offset
    while piece := stream.read(CHUNK if end is None else min(CHUNK, end - position)):
        position += len(piece)
        if overlong:
            first = piece.find(b"\n") + 1
            if not first:
                continue
            yield start, None
            start, overlong, piece = position - len(piece) + first, False, piece[first:]
        cut = piece.rfind(b"\n") + 1
        if cut:
            head = b"".join([*rest, piece[:cut]]) if rest else piece[:cut]
            yield from _without_overlong(head, start)
            start += len(head)
            rest, held, piece = [], 0, piece[cut:]
        if piece:
            rest.append(piece)
            held += len(piece)
        if held > LIMIT:
            rest, held, overlong = [], 0, True
    if overlong:
        yield start, None
    elif held:
        yield from _without_overlong(b"".join(rest), start)


def _without_overlong(block: bytes, start: int) -> Iterator[tuple[int, bytes | None]]:
    # a line that ends in this block can be longer than LIMIT by less than one chunk; whether it is must not depend on the chunks
    if len(block) <= LIMIT:
        yield start, block
        return
    first = block.find(b"\n") + 1 or len(block)
    if first - block.endswith(b"\n", 0, first) > LIMIT:
        yield start, None
    else:
        yield start, block[:first]
    if first < len(block):
        yield from _without_overlong(block[first:], start + first)
