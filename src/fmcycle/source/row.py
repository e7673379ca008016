"""Records as rows of our tables: which table, what is missing, and what no text is."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass, field

import polars as pl

from fmcycle.source.table import DEFAULT, ORIGINS, SCHEMA

Record = tuple[int, int | None, dict | str]  # place in the file, line, the row or why there is none
ROLES = {"system", "user", "assistant"}
CONTROL = "".join(map(chr, [*range(8), *range(14, 32)]))
CONTROLS, BLANK = r"[\x00-\x07\x0e-\x1f]", r"^\s*$"
HALF = "half of a surrogate pair"
BOM = b"\xef\xbb\xbf"
SCALAR = (str, int, float, bool, datetime.date)


class Printable(list):
    """Records whose strings hold no character of CONTROL: they need not be searched for one."""


@dataclass
class Read:
    """What was read together: tables with their columns and `row`, what is no row ({file, line, reason}), and how many both are."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    quarantine: list[dict] = field(default_factory=list)
    read: int = 0


@dataclass(frozen=True)
class Origin:
    """What a row gets that does not say it itself, and where rows are numbered from."""

    source: str
    licence: str
    origin: str
    row: int = 0


def take(records: list[Record], file: str, origin: Origin) -> Read:
    """Sort records into tables; `row` is `origin.row` and the record's place, a missing id is file and line."""
    printable = isinstance(records, Printable)
    read = Read(read=len(records))
    sorted_in: dict[str, list[Record]] = {}
    if str not in {type(record[2]) for record in records} and len(names := {tuple(record[2]) for record in records}) == 1:
        sorted_in[kind_of(*names) or ""] = records  # the usual file: every row has the same columns
    else:
        kinds: dict[tuple, str] = {}
        for record in records:
            if isinstance(record[2], str):
                read.quarantine.append({"file": file, "line": record[1], "reason": record[2]})
                continue
            columns = tuple(record[2])
            if columns not in kinds:
                kinds[columns] = kind_of(columns) or ""
            sorted_in.setdefault(kinds[columns], []).append(record)
    for record in sorted_in.pop("", []):
        read.quarantine.append({"file": file, "line": record[1], "reason": "no column text, messages, or chosen and rejected"})
    for kind, chosen in sorted_in.items():
        frame, refused = table(kind, chosen, file, origin, printable)
        read.quarantine += [{"file": file, "line": line, "reason": reason} for line, reason in refused]
        if frame.height:
            read.tables[kind] = frame
    read.quarantine.sort(key=lambda entry: entry["line"] or 0)
    return read


def take_frame(frame: pl.DataFrame, file: str, origin: Origin) -> Read:
    """`take` for documents that are columns already: strings by their names in SCHEMA, `place` and `line`."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in SCHEMA["documents"].items() if name not in frame.columns]
    fair, refused = readable_rows(frame.with_columns(missing))
    quarantine = [{"file": file, "line": line, "reason": reason} for line, reason in refused]
    tables = {"documents": filled("documents", fair, file, origin)} if fair.height else {}
    return Read(tables, quarantine, frame.height)


def kind_of(row: Collection[str]) -> str | None:
    """The table that a row with these columns belongs to."""
    if "media" in row:
        return "examples"
    if "messages" in row:
        return "instructions"
    if "chosen" in row and "rejected" in row:
        return "preferences"
    if "text" in row and "kind" in row:
        return "prompts"
    return "documents" if "text" in row or "content" in row else None


def table(kind: str, records: list[Record], file: str, origin: Origin, printable: bool) -> tuple[pl.DataFrame, list[tuple]]:
    """(rows of one table, [(line, reason)] of those that are none). Plain strings go straight into columns."""
    refused: list[tuple] = []
    if kind == "documents":
        try:
            frame = columns(kind, records)
        except (TypeError, ValueError, pl.exceptions.PolarsError):  # something is no string: look at every row
            records, refused = sifted(kind, records)
            frame = columns(kind, records)
        frame, bad = readable_rows(frame, printable)
        refused += bad
    else:
        records, refused = sifted(kind, records)
        frame = columns(kind, records)
    return filled(kind, frame, file, origin), refused


def columns(kind: str, records: list[Record]) -> pl.DataFrame:
    """The known columns of records of one table, `place` and `line`; null where a row says nothing. TypeError for what is no string."""
    rows: list[dict] = [record[2] for record in records]  # type: ignore[misc]
    known: set[str] = set().union(*map(set, {tuple(row) for row in rows}))
    made = {
        "place": pl.Series([record[0] for record in records], dtype=pl.UInt64),
        "line": pl.Series([record[1] for record in records], dtype=pl.Int64),
    }
    for name, dtype in SCHEMA[kind].items():
        if name == "text" and "content" in known:
            values = [text_of(row) for row in rows]
        elif name in known:
            values = [row.get(name) for row in rows]
        else:
            made[name] = pl.repeat(None, len(rows), dtype=dtype, eager=True)
            continue
        made[name] = pl.Series(values, dtype=dtype, strict=True)
    return pl.DataFrame(made)


def text_of(row: dict):
    """A document's text, under either name."""
    return row["text"] if "text" in row else row.get("content")


def readable_rows(frame: pl.DataFrame, printable: bool = False) -> tuple[pl.DataFrame, list[tuple]]:
    """(rows whose text is one, [(line, reason)]): only what looks wrong is looked at one by one."""
    pattern = BLANK if printable else f"{CONTROLS}|{BLANK}"
    suspect = frame.select((pl.col("text").is_null() | pl.col("text").str.contains(pattern)).alias("suspect"))["suspect"]
    if not suspect.any():
        return frame, []
    bad = {}
    for number in suspect.arg_true():
        if reason := readable(frame["text"][number])[0]:
            bad[number] = (frame["line"][number], reason)
    keep = pl.Series([True]).new_from_index(0, frame.height).scatter(list(bad), False)
    return frame.filter(keep), list(bad.values())


def filled(kind: str, frame: pl.DataFrame, file: str, origin: Origin) -> pl.DataFrame:
    """What is missing or empty is the file and line, the source's record, or "unknown"; `row` comes last."""
    missing = DEFAULT | {"source": origin.source, "licence": origin.licence, "origin": origin.origin}
    frame = frame.with_columns(id=or_else(frame, "id", pl.format("{}#{}", pl.lit(file), "line").fill_null(pl.lit(file))))
    frame = frame.with_columns(or_else(frame, name, pl.lit(value)) for name, value in missing.items() if name in SCHEMA[kind])
    frame = frame.with_columns(or_else(frame, "group", pl.col("id")), row=pl.lit(origin.row, pl.UInt64) + pl.col("place"))
    if "origin" in SCHEMA[kind] and not frame["origin"].is_in(ORIGINS).all():
        frame = frame.with_columns(origin=pl.when(pl.col("origin").is_in(ORIGINS)).then("origin").otherwise(pl.lit(origin.origin)))
    return frame.select(*SCHEMA[kind], "row")


def or_else(frame: pl.DataFrame, name: str, other: pl.Expr) -> pl.Expr:
    """The column `name`, and `other` where it is null or empty."""
    own, nulls = pl.col(name), frame[name].null_count()
    if nulls == frame.height:
        return other.alias(name)
    if not nulls and not (frame[name] == "").any():
        return own
    return pl.when(own.is_null() | (own == "")).then(other).otherwise(own).alias(name)


def sifted(kind: str, records: list[Record]) -> tuple[list[Record], list[tuple]]:
    """(records of which every known column is what it should be, [(line, reason)] of the others)."""
    fair: list[Record] = []
    refused: list[tuple] = []
    for place, line, row in records:
        problem, clean = checked(kind, row)  # type: ignore[arg-type]
        if problem:
            refused.append((line, problem))
        else:
            fair.append((place, line, clean))
    return fair, refused


def checked(kind: str, row: dict) -> tuple[str | None, dict]:
    """(why `row` is none of this table, or None; its known columns, other scalars as strings)."""
    clean: dict = {}
    for name in SCHEMA[kind]:
        value = text_of(row) if name == "text" else row.get(name)
        if name == "text":
            wanted = not (kind == "examples" and not value)  # a picture without a caption is unlabelled, not wrong
            problem, value = readable(value) if wanted else (None, "")
            if problem:
                return problem, clean
        elif name == "media":
            if not isinstance(value, bytes) or not value:
                return "media is no bytes", clean
        elif name in ("messages", "prompt"):
            if name == "prompt" and isinstance(value, str):
                value = [{"role": "user", "content": value}]
            if problem := messages_problem(value):
                return problem, clean
            value = [{"role": turn["role"], "content": turn["content"]} for turn in value]  # type: ignore[union-attr]
        elif name in ("chosen", "rejected"):
            problem, value = readable(value)
            if problem:
                return f"{name}: {problem}", clean
        elif value is not None:
            value = plain(value)
            if value is None or not encodable(value):
                return f"{name} is no string but {type(row[name]).__name__}" if value is None else f"{name}: {HALF}", clean
        clean[name] = value
    if kind == "instructions" and clean["messages"][-1]["role"] != "assistant":
        return "the last message is not the assistant's", clean
    if kind == "preferences" and clean["chosen"] == clean["rejected"]:
        return "chosen and rejected are the same", clean
    return None, clean


def plain(value) -> str | None:
    """A scalar, or a list of scalars, as a string; None for anything else."""
    if isinstance(value, list) and all(isinstance(item, SCALAR) for item in value):
        return ", ".join(str(plain(item)) for item in value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, SCALAR) else None


def readable(value) -> tuple[str | None, str]:
    """(why it is no text, or None; the text)."""
    if isinstance(value, bytes):
        if b"\0" in value:
            return "binary", ""
        try:
            value = value.removeprefix(BOM).decode()
        except UnicodeDecodeError as error:
            return f"invalid UTF-8 at byte {error.start}", ""
    if not isinstance(value, str):
        return f"text is no string but {type(value).__name__}", ""
    if not encodable(value):
        return HALF, ""
    if not value.strip():
        return "empty", ""
    control = sum(map(value.count, CONTROL))
    return ("binary", "") if "\0" in value or control > len(value) / 10 else (None, value)


def encodable(value: str) -> bool:
    """Has `value` a form in UTF-8? Half of a surrogate pair has none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def messages_problem(messages) -> str | None:
    """Why `messages` is no list of {role, content}."""
    if not isinstance(messages, list) or not messages:
        return "messages is no list with something in it"
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES or readable(message.get("content"))[0]:
            return "a message without a role of system, user, assistant, or without content"
    return None
