"""A folder of the user's own files as a source."""

import errno
import os
import posixpath
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import BinaryIO, Literal

from fmcycle.artifact import atomic, dvc_cache, hub, manifest
from fmcycle.errors import InputError
from fmcycle.ranges import ExistingPath
from fmcycle.source import licence_file
from fmcycle.source.format import media
from fmcycle.source.format.stream import PACKED

TABULAR = {".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather", ".ipc", ".csv", ".tsv", ".tab", ".zip", ".tar", ".tgz"}

LISTS = ("dataset_dict.json", "dataset_infos.json", hub.RECORD)  # what is beside the rows of a dataset of the hub
SAVED = ("state.json", "dataset_info.json")  # files that `save_to_disk` writes beside the rows

OUT = "a link that leads out of"


def local(
    folder: str | Path,
    *,
    path: ExistingPath,
    licence: str = "unknown",
    origin: Literal["public", "proprietary", "synthetic", "unknown"] = "unknown",
) -> None:
    """Copy the files under `path` into `folder` byte for byte and write a licence record; `curate` parses and filters them.

    A symbolic link that can't be followed is reported and skipped. Raises InputError if `path` is not a folder.
    """
    folder = Path(folder)
    if path is None or not Path(path).is_dir():
        raise InputError(f"source {folder.name}: no folder {path}; name the folder of your own files with inputs.local=FOLDER")
    start = Path(path)
    inside = names_in(start)
    left = {name: why for name in inside if (why := trouble(start / name, start))}
    for name, why in left.items():
        print(f"source {folder.name}: {escaped(str(start / name))} was skipped: {why}", flush=True)
    own = record_of(start, start)
    licence = own["licence"] if licence == "unknown" else licence
    origin = own["origin"] if origin == "unknown" else origin  # type: ignore[assignment]
    keep(folder, [name for name in inside if name not in left], lambda name: (start / name).open("rb"))
    write_record(folder, licence, origin)


def keep(folder: Path, names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> None:
    """Copy files into `folder`: tables and archives as they are, all others into one `files.zip`, so that many small texts are one file."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(names)
    told = media.claimed_of_all(names)  # images and their captions stay together
    small = [name for name in names if name in told or suffix(name) not in TABULAR]
    for name in sorted({*names} - {*small}):
        place = folder / named(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        with open_file(name) as source, open(place, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    if small:
        with zipfile.ZipFile(folder / "files.zip", "w") as archive:
            for name in small:
                entry = zipfile.ZipInfo(named(name))  # dated 1980: no clock
                entry.compress_type = zipfile.ZIP_STORED if media.is_media(name) else zipfile.ZIP_DEFLATED
                with open_file(name) as source, archive.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)


def suffix(name: str) -> str:
    """The suffix of a file's name in lower case; of a compressed file the one before .gz, .zst or .bz2."""
    stem, end = posixpath.splitext(name)
    return (posixpath.splitext(stem)[1] if end.lower() in PACKED else end).lower()


def named(name: str) -> str:
    """A file's name that any file system and archive can hold: bytes that are not UTF-8 are written like %f6."""
    return escaped(name).replace("\\x", "%") if escaped(name) != name else name


def escaped(name: str) -> str:
    """A file's name as text; bytes that are not UTF-8 become hex escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def names_in(folder: Path) -> list[str]:
    """The paths in `folder` of its files and links, sorted, without hidden files, fmcycle's manifests, licences and dataset cards.

    None if there is no such folder. Raises InputError for a folder that can't be listed, and for a link that leads out of `folder`:
    nobody has said whether that file may be used.
    """
    chosen: list[str] = []
    left = [""]
    while left:
        inside = left.pop()
        try:
            with os.scandir(folder / inside) as entries:
                found = [entry for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{escaped(str(folder / inside))}: the folder can't be listed: {error.strerror}") from None
        saved = SAVED if any(entry.name.endswith(".arrow") for entry in found) else ()
        for entry in found:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                left.append(f"{inside}{name}/")
            elif name in LISTS or name in saved or (saved and name.startswith("cache-")):
                continue
            elif not licence_file.is_licence(file := entry.path) and not (name == manifest.MANIFEST and manifest.is_ours(Path(file))):
                if entry.is_symlink() and (why := trouble(Path(file), folder) or "").startswith(OUT):
                    raise InputError(f"{escaped(file)}: {why}")
                chosen.append(f"{inside}{name}")
    return sorted(chosen, key=lambda name: name.split("/"))


def trouble(file: Path, folder: Path) -> str | None:
    """Why a link in `folder` is not followed; None for a file, and for a link to one in `folder` or in DVC's cache."""
    if not file.is_symlink():
        return None
    try:
        place = Path(os.path.realpath(file, strict=True))
    except OSError as error:
        return "a link that leads to itself" if error.errno == errno.ELOOP else error.strerror
    if place.is_dir():
        return "a link to a folder; copy the folder there instead"
    if place.is_relative_to(folder.resolve()) or dvc_cache.holds(place):
        return None
    return f"{OUT} {escaped(str(folder))}; copy the file there instead"


def is_hidden(inside: PurePath) -> bool:
    """True for a hidden file or a licence record: these are not data."""
    return any(part.startswith(".") for part in inside.parts) or inside.name in licence_file.RECORDS


def write_record(folder: Path, licence: str, origin: str, **more) -> None:
    """Write a source's licence record: the default for every row without a licence or an origin of its own."""
    record = {"licence": licence, "origin": origin, "packages": [], "url": "", "note": "", "text": ""}
    atomic.write_json(folder / "licence.json", record | more)


def record_of(folder: Path, root: Path, known: dict[Path, dict[str, str]] | None = None) -> dict[str, str]:
    """{"licence", "origin"} of the nearest record, card or LICENSE, in `folder` or above it up to `root`; "unknown" without one.

    known: the answers for folders already asked about. Raises InputError for a record that cannot be read: fmcycle never guesses
    whether a text may be used.
    """
    known = {} if known is None else known
    if folder not in known:
        above = licence_file.NOTHING if folder == root else None
        known[folder] = licence_file.said(folder) or above or record_of(folder.parent, root, known)
    return known[folder]
