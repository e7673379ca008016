"""Users' feedback on served answers as a source: the record itself, and training rows for chat, classification and transcription."""

import hashlib
import json
import re
import sys
from pathlib import Path

import polars as pl

from fmcycle.errors import InputError
from fmcycle.processor.media import is_sound
from fmcycle.ranges import ExistingPath
from fmcycle.source.choice import digest
from fmcycle.source.local import write_record
from fmcycle.tables import schema

TEXT = pl.String
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "answer_id": TEXT, "time": TEXT, "prompt": schema.MESSAGES, "answer": TEXT, "rating": pl.Int64, "comment": TEXT, "corrected": TEXT,
    "preferred": TEXT, "role": TEXT, "model": TEXT, "processor": TEXT, "config": TEXT, "prompt_tokens": pl.Int64,
    "answer_tokens": pl.Int64, "latency": pl.Float64, "refused": pl.Boolean, "kind": TEXT, "media": pl.List(TEXT),
}  # fmt: skip
SINCE = {"kind": "chat", "media": []}  # columns that the first snapshots lack; those hold only chats
TAUGHT = ("chat", "classification", "transcription")  # kinds of answers that become training rows
TRACE = re.compile(r"\[\d+ bytes, sha256 [0-9a-f]{64}\]")  # stands in a prompt for an uploaded file
LICENCE = "LicenseRef-feedback"


def feedback(folder: str | Path, *, path: ExistingPath | None) -> None:
    """Write the feedback, one row an answer, and the training rows made from it as Parquet tables.

    `feedback`, `instructions` and `preferences` may be empty; `documents` (texts with their class) and `examples` (images and audio with
    class or transcript) are written only if they have rows. path: the folder with `snapshots/*.parquet`, as `fmcycle feedback export`
    writes them; null or without snapshots: no rows. Raises InputError for a snapshot that cannot be read or lacks a column.
    """
    folder = Path(folder)
    rows = merged([read(file) for file in sorted(Path(path).glob("snapshots/*.parquet"))] if path else [])
    schema.write_parquet(rows, folder / "feedback.parquet")
    lessons = latest_of_each_prompt(rows)
    chats = [row for row in lessons if row["kind"] == "chat"]
    tables = {"instructions": instructions(chats), "preferences": preferences(chats)}
    tables |= labelled([row for row in lessons if row["kind"] != "chat"], Path(path or "") / "snapshots/media")
    schema.write(folder, tables, source="feedback", licence=LICENCE, origin="proprietary")
    note = "Answers, ratings and corrections by the users of the served model; their terms are those of the service."
    write_record(folder, LICENCE, "proprietary", note=note)


def read(file: Path) -> pl.DataFrame:
    """Read one snapshot, its columns in the order of COLUMNS."""
    try:
        frame = pl.read_parquet(file)
        frame = frame.with_columns(pl.lit(None).alias(name) for name in SINCE if name not in frame.columns)
        frame = frame.select(*COLUMNS).cast(COLUMNS)  # type: ignore[arg-type]
        return frame.with_columns(pl.col(name).fill_null(pl.lit(value, COLUMNS[name])) for name, value in SINCE.items())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{file}: not a readable snapshot ({first}); export it again with `fmcycle feedback export`") from error


def merged(snapshots: list[pl.DataFrame]) -> pl.DataFrame:
    """Merge snapshots to one row an answer: the latest values; of rating, comment and correction the latest that is not empty."""
    rows = pl.concat([pl.DataFrame(schema=COLUMNS), *snapshots]).sort("answer_id", "time", maintain_order=True)
    said = [
        pl.col(name).filter(pl.col(name) != empty).last().fill_null(empty)  # type: ignore[arg-type]
        for name, empty in {"rating": 0, "comment": "", "corrected": "", "preferred": "", "role": ""}.items()
    ]
    rest = [pl.col(name).last() for name in COLUMNS if name not in ("answer_id", "rating", "comment", "corrected", "preferred", "role")]
    return rows.group_by("answer_id").agg(*said, *rest).select(*COLUMNS).sort("answer_id")


def latest_of_each_prompt(rows: pl.DataFrame) -> list[dict]:
    """The rows to train on, one a kind and prompt: a row with a correction wins, then the latest, then the one with the larger id."""
    said = (pl.col("corrected") != "") | (pl.col("rating") > 0)
    taught = rows.filter(pl.col("kind").is_in(TAUGHT), pl.col("prompt").list.len() > 0, said)
    order = sorted(taught.to_dicts(), key=lambda row: (row["corrected"] != "", row["time"] or "", row["answer_id"]))
    return list({(row["kind"], str(row["prompt"])): row for row in order}.values())


def group(row: dict) -> str:
    """The group of a prompt, the same for everybody who asked it."""
    return f"feedback/{digest(str(row['prompt'])):016x}"


def right(row: dict, original: str) -> str:
    """The corrected answer; `original` if there is no correction, or the person preferred the original."""
    return original if row["preferred"] == "answer" else row["corrected"] or original


def instructions(rows: list[dict]) -> list[dict]:
    """Prompts with the corrected answer, or with the model's answer if it got a thumbs-up and no correction."""
    found = []
    for row in rows:
        answer = right(row, row["answer"])
        if answer and not row["refused"]:
            messages = [*row["prompt"], {"role": "assistant", "content": answer}]
            found.append(
                {"id": f"feedback/{row['answer_id']}", "messages": messages, "task": "feedback", "group": group(row), "document": ""}
            )
    return found


def preferences(rows: list[dict]) -> list[dict]:
    """The corrected answer chosen over the model's; the other way round if the person preferred the model's."""
    found = []
    for row in rows:
        pair = (row["answer"], row["corrected"]) if row["preferred"] == "answer" else (row["corrected"], row["answer"])
        if all(pair) and pair[0] != pair[1]:
            chosen, rejected = pair
            found.append(
                {"id": f"feedback/{row['answer_id']}", "prompt": row["prompt"], "chosen": chosen, "rejected": rejected, "group": group(row)}
            )
    return found


def labelled(rows: list[dict], folder: Path) -> dict[str, list[dict]]:
    """`documents` of texts with their class, `examples` of images and audio with class or transcript; a table without rows is left out.
    folder: holds the media files. An answer to several inputs is skipped: the feedback doesn't say which input it is about."""
    tables: dict[str, list[dict]] = {}
    lost = 0
    for row in rows:
        named = row["kind"] == "classification"
        if row["refused"] or len(row["prompt"]) > 1:
            continue
        text, answer = row["prompt"][0]["content"], right(row, json.loads(row["answer"])[0] if named else row["answer"]).strip()
        about = {"id": f"feedback/{row['answer_id']}", "group": group(row), "time": row["time"], "label" if named else "text": answer}
        content = bytes_of(folder / row["media"][0]) if row["media"] else None
        if content and answer:
            kind = "speech" if is_sound(content) else "image"
            tables.setdefault("examples", []).append({"text": "", **about, "media": content, "type": kind})
        elif row["media"] or TRACE.fullmatch(text):
            lost += 1
        elif answer:
            tables.setdefault("documents", []).append(about | {"text": text})
    if lost:
        print(f"feedback: {lost} answers were skipped: their images or audio are not in {folder}", file=sys.stderr)
    return tables


def bytes_of(file: Path) -> bytes | None:
    """The content of a file named by its sha256; None if there is no file. Raises InputError if the content has another digest."""
    content = file.read_bytes() if file.is_file() else None
    if content is not None and hashlib.sha256(content).hexdigest() != file.name:
        raise InputError(f"{file}: its content does not have the sha256 of its name; run `dvc checkout feedback/snapshots.dvc`")
    return content
