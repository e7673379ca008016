"""A folder of a person's own files as a source, with or without our columns."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO, Literal

from fmcycle import durable
from fmcycle.error import InputError
from fmcycle.source import media
from fmcycle.source.stream import PACKED
from fmcycle.source.table import ORIGINS

TABULAR = {".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".zip", ".tar", ".tgz"}


def local(
    folder: str | Path,
    *,
    path: str | None,
    licence: str = "unknown",
    origin: Literal["public", "proprietary", "synthetic", "unknown"] = "unknown",
) -> None:
    """Take the files under `path` into `folder` byte for byte, with a licence record; `curate` reads and judges them.

    Raises InputError where `path` is no folder, or a link in it leads outside.
    """
    folder = Path(folder)
    if path is None or not Path(path).is_dir():
        raise InputError(f"source {folder.name}: no folder {path}; name the one of your own files with inputs.local=FOLDER")
    start = Path(path)
    keep(folder, [file.relative_to(start).as_posix() for file in files(start)], lambda name: (start / name).open("rb"))
    write_record(folder, licence, origin)


def keep(folder: Path, names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> None:
    """Copy files into `folder`: tables and archives as they are, all others into one `files.zip`, so that many small texts are one file."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(names)
    told = media.claimed_of_all(names)  # pictures and what is said of them stay together
    small = [name for name in names if name in told or suffix(name) not in TABULAR]
    for name in sorted({*names} - {*small}):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with open_file(name) as source, open(folder / name, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    if small:
        with zipfile.ZipFile(folder / "files.zip", "w") as archive:
            for name in small:
                entry = zipfile.ZipInfo(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))  # dated 1980: no clock
                entry.compress_type = zipfile.ZIP_STORED if media.is_media(name) else zipfile.ZIP_DEFLATED
                with open_file(name) as source, archive.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)


def suffix(name: str) -> str:
    """What a file is by its name, whatever it is packed with."""
    path = PurePosixPath(name)
    return PurePosixPath(path.stem if path.suffix.lower() in PACKED else name).suffix.lower()


def files(folder: Path) -> list[Path]:
    """The files under `folder`, sorted, without hidden ones, manifests and licence records."""
    chosen = []
    for file in sorted(Path(where, name) for where, _, names in os.walk(folder) for name in names):
        if is_hidden(file.relative_to(folder)):
            continue
        if not file.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{file}: a link that leads out of {folder}; copy the file there instead")
        chosen.append(file)
    return chosen


def is_hidden(inside: PurePath) -> bool:
    """Is this no data but a hidden file, a manifest or a licence record?"""
    return any(part.startswith(".") for part in inside.parts) or inside.name in ("manifest.json", "licence.json")


def write_record(folder: Path, licence: str, origin: str, **more) -> None:
    """The licence record of a source: what every row gets that does not say it itself."""
    record = {"licence": licence, "origin": origin, "packages": [], "url": "", "note": "", "text": ""}
    durable.write_json(folder / "licence.json", record | more)


def record_of(folder: Path, root: Path) -> dict[str, str]:
    """{"licence", "origin"} of the nearest licence.json, in `folder` or above it up to `root`; "unknown" without one.

    Raises InputError for a record that cannot be read: whether a text may be used is not to be guessed.
    """
    file = folder / "licence.json"
    if not file.is_file():
        return {"licence": "unknown", "origin": "unknown"} if folder == root else record_of(folder.parent, root)
    try:
        record = json.loads(file.read_text())
        found = {"licence": str(record["licence"]), "origin": str(record.get("origin", "unknown"))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{file}: not a licence record ({error}); write {{"licence": "SPDX name"}} into it, or delete it') from error
    if found["origin"] not in ORIGINS:
        raise InputError(f"{file}: origin {found['origin']!r} is none of {', '.join(ORIGINS)}; write one of them, or leave it out")
    return found
