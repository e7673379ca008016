"""People's feedback on served answers as a source: what they said, and what follows from it: lessons for chats, classes and transcripts."""

import hashlib
import json
import re
import sys
from pathlib import Path

import polars as pl

from fmcycle.errors import InputError
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
SINCE = {"kind": "chat", "media": []}  # columns that the first snapshots do not have, which held chats alone
TAUGHT = ("chat", "classification", "transcription")  # kinds of answers that are learnt from
TRACE = re.compile(r"\[\d+ bytes, sha256 [0-9a-f]{64}\]")  # what stands in a prompt in the place of a file
LICENCE = "LicenseRef-feedback"


def feedback(folder: str | Path, *, path: ExistingPath | None) -> None:
    """Write `feedback.parquet` (one row an answer, maybe none), `instructions.parquet` and `preferences.parquet`; `documents.parquet` of
    texts with their class and `examples.parquet` of pictures and sounds with class or transcript only where there are such.

    path: the folder with `snapshots/*.parquet`, as `fmcycle feedback export` writes them; null or without snapshots: no rows.
    Raises InputError for a snapshot that cannot be read or lacks a column.
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
    """One snapshot with its columns in order."""
    try:
        frame = pl.read_parquet(file)
        frame = frame.with_columns(pl.lit(None).alias(name) for name in SINCE if name not in frame.columns)
        frame = frame.select(*COLUMNS).cast(COLUMNS)  # type: ignore[arg-type]
        return frame.with_columns(pl.col(name).fill_null(pl.lit(value, COLUMNS[name])) for name, value in SINCE.items())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{file}: not a readable snapshot ({first}); export it again with `fmcycle feedback export`") from error


def merged(snapshots: list[pl.DataFrame]) -> pl.DataFrame:
    """All snapshots, one row an answer: of each column the value of the latest snapshot row that has one."""
    rows = pl.concat([pl.DataFrame(schema=COLUMNS), *snapshots]).sort("answer_id", "time", maintain_order=True)
    said = [
        pl.col(name).filter(pl.col(name) != empty).last().fill_null(empty)  # type: ignore[arg-type]
        for name, empty in {"rating": 0, "comment": "", "corrected": "", "preferred": "", "role": ""}.items()
    ]
    rest = [pl.col(name).last() for name in COLUMNS if name not in ("answer_id", "rating", "comment", "corrected", "preferred", "role")]
    return rows.group_by("answer_id").agg(*said, *rest).select(*COLUMNS).sort("answer_id")


def latest_of_each_prompt(rows: pl.DataFrame) -> list[dict]:
    """The rows that teach something, one a kind and prompt: one with a correction before one without, then the latest, then the larger
    id."""
    said = (pl.col("corrected") != "") | (pl.col("rating") > 0)
    taught = rows.filter(pl.col("kind").is_in(TAUGHT), pl.col("prompt").list.len() > 0, said)
    order = sorted(taught.to_dicts(), key=lambda row: (row["corrected"] != "", row["time"] or "", row["answer_id"]))
    return list({(row["kind"], str(row["prompt"])): row for row in order}.values())


def group(row: dict) -> str:
    """One group for a prompt, whoever asked it."""
    return f"feedback/{digest(str(row['prompt'])):016x}"


def right(row: dict, given: str) -> str:
    """The corrected answer; the one `given` where there is none, or the person preferred it."""
    return given if row["preferred"] == "answer" else row["corrected"] or given


def instructions(rows: list[dict]) -> list[dict]:
    """The corrected answer, or without one the answer that got a thumbs-up."""
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
    """The corrected answer chosen over the one given, or the other way round where the person preferred the one given."""
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
    """Rows by table, none without a row: a text with its class is a document, as classifiers of texts read it, a file with its class or
    transcript an example. folder: where the bytes lie. Answers to several inputs teach nothing: which is meant, nobody said."""
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
            kind = "speech" if content[:4] == b"RIFF" and content[8:12] == b"WAVE" else "image"
            tables.setdefault("examples", []).append({"text": "", **about, "media": content, "type": kind})
        elif row["media"] or TRACE.fullmatch(text):
            lost += 1
        elif answer:
            tables.setdefault("documents", []).append(about | {"text": text})
    if lost:
        print(f"feedback: {lost} answers teach nothing, their pictures or sounds are not in {folder}", file=sys.stderr)
    return tables


def bytes_of(file: Path) -> bytes | None:
    """The content of a file that is called by its sha256; None where it is not there. Raises InputError where it is another."""
    content = file.read_bytes() if file.is_file() else None
    if content is not None and hashlib.sha256(content).hexdigest() != file.name:
        raise InputError(f"{file}: its content is not the one of this name; run `dvc checkout feedback/snapshots.dvc`")
    return content
