"""Read folders of images or audio whose captions, transcripts or labels are in metadata.jsonl, metadata.csv, or a file beside each."""

import posixpath
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from fmcycle.processor.media import open_sound
from fmcycle.source.format import delimited, json_lines
from fmcycle.source.format.features import SPOKEN
from fmcycle.source.format.stream import Damaged, read_whole
from fmcycle.source.readable import BOM, readable
from fmcycle.source.row import Record

TYPES = {".png": "image", ".jpg": "image", ".jpeg": "image", ".gif": "image", ".webp": "image", ".bmp": "image"}
TYPES |= dict.fromkeys((".wav", ".flac", ".ogg", ".opus", ".mp3"), "speech")
MAGIC = {
    ".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff", ".gif": b"GIF8", ".webp": b"RIFF", ".bmp": b"BM",
}  # fmt: skip
BESIDE = (".json", ".txt")  # suffixes of the files beside an image; the text of the second wins
METADATA = ("metadata.jsonl", "metadata.csv")
NAMED = ("file_name", "file", "image", "audio", "path")
Open = Callable[[str], BinaryIO]


def is_media(name: str) -> bool:
    """True if a file is an image or audio, by its suffix."""
    return posixpath.splitext(name)[1].lower() in TYPES


def claimed(names: Iterable[str]) -> set[str]:
    """The media files of one folder and the files with their captions or metadata: no other format reads these."""
    names = set(names)
    media = {name for name in names if is_media(name)}
    if not media:
        return set()
    beside = {str(PurePosixPath(name).with_suffix(suffix)) for name in media for suffix in BESIDE}
    return media | {name for name in names if name in beside or posixpath.basename(name) in METADATA}


def claimed_of_all(names: Iterable[str]) -> set[str]:
    """`claimed` of every folder among `names`."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault(posixpath.dirname(name), []).append(name)
    return set().union(*map(claimed, folders.values()))


def records(names: list[str], open_file: Open) -> Iterator[tuple[str, list[Record]]]:
    """(file, its records) for the claimed files of one folder: the rows of the metadata in order, then the media that no row names."""
    place, named = 0, set()
    for name in sorted(name for name in names if posixpath.basename(name) in METADATA):
        for batch in metadata(open_file(name), name):
            for _, line, row in batch:
                target = None if isinstance(row, str) else target_of(row, name, names)
                if target:
                    named.add(target)
                    row = joined(row, target, open_file)  # type: ignore[arg-type]
                elif isinstance(row, dict):
                    row = f"no file beside it has the name in {' or '.join(NAMED)}"
                yield (name, [(place, line, row)]) if isinstance(row, str) else (str(target), [(place, None, row)])
                place += 1
    for name in sorted(filter(is_media, names)):
        if name not in named:
            beside = [str(PurePosixPath(name).with_suffix(suffix)) for suffix in BESIDE]
            yield name, [(place, None, captioned(name, [each for each in beside if each in names], open_file))]
            place += 1


def metadata(stream: BinaryIO, name: str) -> Iterator[list[Record]]:
    """The rows of a metadata file."""
    return json_lines.records(stream) if name.endswith(".jsonl") else delimited.records(stream, name, render=False)


def target_of(row: dict, name: str, names: list[str]) -> str | None:
    """The media file that a row of metadata names; None if it is not in the folder."""
    for column in NAMED:
        if isinstance(value := row.get(column), str):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), value))
            return target if target in names and is_media(target) else None
    return None


def joined(row: dict, target: str, open_file: Open) -> dict | str:
    """A row of metadata with the bytes of its file, or the reason why the file is refused."""
    found = content(target, open_file)
    if isinstance(found, str):
        return found
    said = next((row[column] for column in SPOKEN if row.get(column)), "")
    more = {column: value for column, value in row.items() if column not in (*NAMED, *SPOKEN)}
    return {"type": TYPES[PurePosixPath(target).suffix.lower()], **more, "text": said, "media": found}


def captioned(name: str, beside: list[str], open_file: Open) -> dict | str:
    """A media file with the text and the JSON object beside it, if any; a sample of a WebDataset shard has the same form."""
    found: dict = {}
    for file in beside:
        said = read_whole(open_file(file))
        if file.endswith(".json"):
            row = json_lines.parse_one(said.removeprefix(BOM))
            problem, told = (row, {}) if isinstance(row, str) else (None, row)
        else:
            problem, text = readable(said)
            problem, told = (None if problem == "empty" else problem), {"text": text.strip()}
        if problem:
            return f"{posixpath.basename(file)}: {problem}"
        found |= told
    return joined(found, name, open_file)


def content(name: str, open_file: Open) -> bytes | str:
    """The bytes of a media file, or the reason why it is refused."""
    try:
        with open_file(name) as stream:
            found = read_whole(stream)
    except (Damaged, OSError) as error:
        return str(error)
    suffix = PurePosixPath(name).suffix.lower()
    if TYPES[suffix] == "speech":
        try:
            with open_sound(found):
                return found
        except ValueError as error:
            return str(error)
    return found if found.startswith(MAGIC[suffix]) else f"not a {suffix} file: its first bytes are those of another format"
