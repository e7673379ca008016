"""People's feedback on served answers as a source: what they said, and the instructions and preferences that follow from it."""

from pathlib import Path

import polars as pl

from fmcycle.error import InputError
from fmcycle.source import table
from fmcycle.source.choice import digest
from fmcycle.source.local import write_record

TEXT = pl.String
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "answer_id": TEXT, "time": TEXT, "prompt": table.MESSAGES, "answer": TEXT, "rating": pl.Int64, "comment": TEXT, "corrected": TEXT,
    "preferred": TEXT, "role": TEXT, "model": TEXT, "processor": TEXT, "config": TEXT, "prompt_tokens": pl.Int64,
    "answer_tokens": pl.Int64, "latency": pl.Float64, "refused": pl.Boolean,
}  # fmt: skip
LICENCE = "LicenseRef-feedback"


def feedback(folder: str | Path, *, path: str | None) -> None:
    """Write `feedback.parquet` (one row an answer, maybe none), `instructions.parquet` and `preferences.parquet`.

    path: the folder with `snapshots/*.parquet`, as `fmcycle feedback export` writes them; null or without snapshots: no rows.
    Raises InputError for a snapshot that cannot be read or lacks a column.
    """
    folder = Path(folder)
    rows = merged([read(file) for file in sorted(Path(path).glob("snapshots/*.parquet"))] if path else [])
    table.write_parquet(rows, folder / "feedback.parquet")
    lessons = latest_of_each_prompt(rows)
    tables = {"instructions": instructions(lessons), "preferences": preferences(lessons)}
    table.write(folder, tables, source="feedback", licence=LICENCE, origin="proprietary")
    note = "Answers, ratings and corrections by the users of the served model; their terms are those of the service."
    write_record(folder, LICENCE, "proprietary", note=note)


def read(file: Path) -> pl.DataFrame:
    """One snapshot with its columns in order."""
    try:
        return pl.read_parquet(file).select(*COLUMNS).cast(COLUMNS)  # type: ignore[arg-type]
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
    """The rows that teach something, one a prompt: one with a correction before one without, then the latest, then the larger id."""
    taught = rows.filter(pl.col("prompt").list.len() > 0, (pl.col("corrected") != "") | (pl.col("rating") > 0))
    order = sorted(taught.to_dicts(), key=lambda row: (row["corrected"] != "", row["time"] or "", row["answer_id"]))
    return list({str(row["prompt"]): row for row in order}.values())


def group(row: dict) -> str:
    """One group for a prompt, whoever asked it."""
    return f"feedback/{digest(str(row['prompt'])):016x}"


def instructions(rows: list[dict]) -> list[dict]:
    """The corrected answer, or without one the answer that got a thumbs-up."""
    found = []
    for row in rows:
        answer = row["answer"] if row["preferred"] == "answer" else row["corrected"] or row["answer"]
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
