"""A folder of a person's own files as a source: JSONL, Parquet and text, with or without our columns."""

import os
import shutil
from pathlib import Path

import polars as pl

from fmcycle import durable
from fmcycle.error import InputError
from fmcycle.source import table

TABULAR = {".jsonl", ".ndjson", ".parquet"}


def local(folder: str | Path, *, path: str | None, licence: str = "unknown") -> None:
    """Take the files under `path` into `folder` byte for byte, with a licence record; `curate` reads and judges them.

    JSONL and Parquet stay files; all others go into one `files.parquet` (file, content), so that many small texts are one file.
    Raises InputError where `path` is no folder, or a link in it leads outside.
    """
    folder = Path(folder)
    if path is None or not Path(path).is_dir():
        raise InputError(
            f"source {folder.name}: no folder {path}; name the one of your JSONL, Parquet and text files with inputs.local=FOLDER"
        )
    origin = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    packed: list[dict[str, str | bytes]] = []
    for file in files(origin):
        inside = file.relative_to(origin)
        if inside.suffix.lower() in TABULAR:
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / inside)
        else:
            packed.append({"file": inside.as_posix(), "content": file.read_bytes()})
    if packed:
        table.write_parquet(pl.DataFrame(packed, schema={"file": pl.String, "content": pl.Binary}), folder / "files.parquet")
    durable.write_json(folder / "licence.json", {"licence": licence, "packages": [], "url": "", "note": "", "text": ""})


def files(folder: Path) -> list[Path]:
    """The files under `folder`, sorted, without hidden ones, manifests and licence records."""
    found = sorted(Path(where, name) for where, _, names in os.walk(folder) for name in names)
    chosen = []
    for file in found:
        inside = file.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or inside.name in ("manifest.json", "licence.json"):
            continue
        if not file.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{file}: a link that leads out of {folder}; copy the file there instead")
        chosen.append(file)
    return chosen
