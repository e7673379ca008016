"""Sort records into fmcycle's tables, fill in missing values, and quarantine rows that are not readable."""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from fmcycle.source import column, given_split, shape, suggestion
from fmcycle.source.readable import HALF, encodable, plain, readable
from fmcycle.tables.schema import DEFAULT, ORIGINS, READ

Record = tuple[int, int | None, dict | str]  # place in the file, line, the row or the reason why there is none
CONTROLS, BLANK = r"[\x00-\x07\x0e-\x1f]", r"^\s*$"
BINDING = ("licence", "origin", "split")  # a row is refused if one of these can't be read; other columns are dropped


class Printable(list):
    """Records whose strings are known to hold no character of CONTROL, so that nothing searches for one."""


@dataclass
class Read:
    """What was read together: tables (their columns and `row`), quarantine ({file, line, reason}), and `read`, the number of both.

    shapes: number of rows by shape (ShareGPT, Alpaca, ...); unread: number of rows by unread column."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    quarantine: list[dict] = field(default_factory=list)
    read: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)

    def table(self, name: str) -> pl.DataFrame:
        """The rows of one table in the order of the input, with the input's ids, which may occur twice."""
        return self.tables[name].drop("row")


@dataclass(frozen=True)
class Origin:
    """A file's defaults for its rows, the number of its first row, and the user's names of columns (source.map).

    split: the one in the file's name; None: the split that a row declares is ignored."""

    source: str
    licence: str
    origin: str
    row: int = 0
    split: str | None = ""
    map: shape.Map = ()


def take(records: list[Record], file: str, origin: Origin) -> Read:
    """Sort records into tables; `row` is `origin.row` plus the record's place, a missing id becomes file and line."""
    printable = isinstance(records, Printable)
    read = Read(read=len(records))
    refused: list[tuple] = [(line, reason) for _, line, reason in records if isinstance(reason, str)]
    alike: dict[tuple, list[Record]] = {}  # in most files all rows have the same columns
    for record in records:
        if not isinstance(record[2], str):
            alike.setdefault(tuple(record[2]), []).append(record)
    sorted_in: dict[str, list[Record]] = {}
    for names, some in alike.items():
        plan = shape.plan(names, origin.map)
        if plan.table is None:
            refused += [(line, suggestion.no_row(names)) for _, line, _ in some]
            continue
        if (plan.table == "rows" and plan.unread) or any(name != column for column, name in plan.names.items()):
            some = [(place, line, renamed(row, plan.names)) for place, line, row in some]
        read.unread.update(dict.fromkeys(plan.unread, len(some)))
        if plan.table == "rows":
            refused += shaped(some, sorted_in, read)
        else:
            read.shapes[plan.table] += len(some)
            sorted_in.setdefault(plan.table, []).extend(some)
    for kind, chosen in sorted_in.items():
        chosen.sort(key=lambda record: record[0])
        frame, bad = table(kind, chosen, file, origin, printable, read.unread)
        refused += bad
        if frame.height:
            read.tables[kind] = frame
    read.quarantine = [{"file": file, "line": line, "reason": reason} for line, reason in refused]
    read.quarantine.sort(key=lambda entry: entry["line"] or 0)
    return read


def renamed(row, names: dict[str, str]) -> dict:
    """The row with fmcycle's names of its columns; columns without such a name are left out."""
    found = {name: row[own] for own, name in names.items()}
    if (place := column.placing(names)) and given_split.place_of(row[place]) is None:
        del found["split"]
    holder = column.nested(names)
    return found | {"licence": column.licence_in(row[holder])} if holder else found


def shaped(records: list[Record], sorted_in: dict[str, list[Record]], read: Read) -> list[tuple]:
    """Sort records into tables, each by its own shape; returns [(line, reason)] of the refused ones."""
    refused: list[tuple] = []
    for place, line, row in records:
        try:
            name, kind, found, unread = shape.ours(row)  # type: ignore[arg-type]
        except ValueError as error:
            refused.append((line, str(error)))
            continue
        read.shapes[name] += 1
        read.unread.update(unread)
        sorted_in.setdefault(kind, []).append((place, line, found))
    return refused


def take_frame(frame: pl.DataFrame, file: str, origin: Origin) -> Read:
    """`take` for documents that come as a frame of string columns, `place` and `line`."""
    plan = shape.plan(tuple(name for name in frame.columns if name not in ("place", "line")), origin.map)
    read = {name: pl.col(own) for own, name in plan.names.items()}
    if holder := column.nested(plan.names):
        read["licence"] = pl.col(holder).map_elements(column.licence_in, pl.String)
    if place := column.placing(plan.names):
        words = [word for word in frame[place].drop_nulls().unique() if given_split.place_of(word)]
        read["split"] = pl.when(pl.col(place).is_in(words)).then(pl.col(place))
    frame = frame.select("place", "line", **read)
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in READ["documents"].items() if name not in frame.columns]
    fair, refused = readable_rows(frame.with_columns(missing))
    fair, astray = placed(fair, origin.split)
    quarantine = [{"file": file, "line": line, "reason": reason} for line, reason in [*refused, *astray]]
    tables = {"documents": filled("documents", fair, file, origin)} if fair.height else {}
    return Read(tables, quarantine, frame.height, Counter({"documents": frame.height}), Counter(dict.fromkeys(plan.unread, frame.height)))


def table(
    kind: str, records: list[Record], file: str, origin: Origin, printable: bool, unread: Counter[str]
) -> tuple[pl.DataFrame, list[tuple]]:
    """(rows of one table, [(line, reason)] of the refused records). Documents of plain strings are not checked row by row."""
    refused: list[tuple] = []
    if kind == "documents":
        try:
            frame = columns(kind, records)
        except (TypeError, ValueError, pl.exceptions.PolarsError):  # a value is not a string: check every row
            records, refused = sifted(kind, records, unread)
            frame = columns(kind, records)
        frame, bad = readable_rows(frame, printable)
        refused += bad
    else:
        records, refused = sifted(kind, records, unread)
        frame = columns(kind, records)
    frame, bad = placed(frame, origin.split)
    return filled(kind, frame, file, origin), refused + bad


def placed(frame: pl.DataFrame, split: str | None) -> tuple[pl.DataFrame, list[tuple]]:
    """(rows with their declared split as train, validation, test or null, [(line, reason)] of rows that declare another).

    split: the one in the file's name; a row that declares train in a file of held-out rows is refused. None: rows' splits are ignored.
    """
    if split is None:
        return frame.with_columns(split=pl.lit(None, pl.String)), []
    if frame["split"].null_count() == frame.height:
        return frame, []
    words = frame["split"].drop_nulls().unique()
    meant = pl.Series([given_split.place_of(word) for word in words], dtype=pl.String)
    frame = frame.with_columns(
        split=pl.col("split").replace_strict(words, meant, default=None, return_dtype=pl.String), word=pl.col("split")
    )
    unknown = pl.col("split").is_null() & pl.col("word").is_not_null() & (pl.col("word") != "")
    astray = unknown | pl.lit(split not in ("", "train")) & (pl.col("split") == "train").fill_null(False)
    why = f"but its file's name says {split}" if split not in ("", "train") else ""
    refused = [
        (line, f"split {word!r}, {why}" if place else f"split {word!r} is not one of train, validation, test")
        for line, word, place in frame.filter(astray).select("line", "word", "split").iter_rows()
    ]
    return frame.filter(~astray.fill_null(False)).drop("word"), refused


def columns(kind: str, records: list[Record]) -> pl.DataFrame:
    """A frame of the table's columns, `place` and `line`; null if a row lacks a value. Raises TypeError for a value of another type."""
    rows: list[dict] = [record[2] for record in records]  # type: ignore[misc]
    known: set[str] = set().union(*map(set, {tuple(row) for row in rows}))
    made = {
        "place": pl.Series([record[0] for record in records], dtype=pl.UInt64),
        "line": pl.Series([record[1] for record in records], dtype=pl.Int64),
    }
    for name, dtype in READ[kind].items():
        if name in known:
            made[name] = pl.Series([row.get(name) for row in rows], dtype=dtype, strict=True)
        else:
            made[name] = pl.repeat(None, len(rows), dtype=dtype, eager=True)
    return pl.DataFrame(made)


def readable_rows(frame: pl.DataFrame, printable: bool = False) -> tuple[pl.DataFrame, list[tuple]]:
    """(rows with readable text, [(line, reason)] of the others); only rows that look suspect are checked one by one."""
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
    """Fill in missing or empty values: file and line, the source's record, or "unknown"; `row` becomes the last column."""
    missing = DEFAULT | {"source": origin.source, "licence": origin.licence, "origin": origin.origin, "split": origin.split or ""}
    frame = frame.with_columns(id=or_else(frame, "id", pl.format("{}#{}", pl.lit(file), "line").fill_null(pl.lit(file))))
    frame = frame.with_columns(or_else(frame, name, pl.lit(value)) for name, value in missing.items() if name in READ[kind])
    frame = frame.with_columns(or_else(frame, "group", pl.col("id")), row=pl.lit(origin.row, pl.UInt64) + pl.col("place"))
    if "origin" in READ[kind] and not frame["origin"].is_in(ORIGINS).all():
        frame = frame.with_columns(origin=pl.when(pl.col("origin").is_in(ORIGINS)).then("origin").otherwise(pl.lit(origin.origin)))
    return frame.select(*READ[kind], "row")


def or_else(frame: pl.DataFrame, name: str, other: pl.Expr) -> pl.Expr:
    """An expression: the column `name`, or `other` if it is null or empty."""
    own, nulls = pl.col(name), frame[name].null_count()
    if nulls == frame.height:
        return other.alias(name)
    if not nulls and not (frame[name] == "").any():
        return own
    return pl.when(own.is_null() | (own == "")).then(other).otherwise(own).alias(name)


def sifted(kind: str, records: list[Record], unread: Counter[str]) -> tuple[list[Record], list[tuple]]:
    """(records whose known columns are all valid, [(line, reason)] of the others)."""
    fair: list[Record] = []
    refused: list[tuple] = []
    for place, line, row in records:
        problem, clean = checked(kind, row, unread)  # type: ignore[arg-type]
        if problem:
            refused.append((line, problem))
        else:
            fair.append((place, line, clean))
    return fair, refused


def checked(kind: str, row: dict, unread: Counter[str]) -> tuple[str | None, dict]:
    """(why `row` is refused, or None; its known columns, scalars as strings). A column of another type is left out."""
    clean: dict = {}
    for name in READ[kind]:
        value = row.get(name)
        if name == "text":
            wanted = not (kind == "examples" and not value)  # a picture without a caption is unlabelled, not wrong
            problem, value = readable(value) if wanted else (None, "")
            if problem:
                return problem, clean
        elif name == "media":
            if not isinstance(value, bytes) or not value:
                return "media is empty or not bytes", clean
        elif name in ("messages", "prompt"):
            for turn in value:  # type: ignore[union-attr]
                if problem := readable(turn["content"])[0]:
                    return f"{name}: the {turn['role']}'s message: {problem}", clean
        elif name in ("chosen", "rejected"):
            problem, value = readable(value)
            if problem:
                return f"{name}: {problem}", clean
        elif value is not None and name != "masked":
            value = plain(value)
            if value is None and name in BINDING:
                return f"{name} is not a string but {type(row[name]).__name__}", clean
            if value is None:
                unread[f"{name} ({type(row[name]).__name__})"] += 1
            elif not encodable(value):
                return f"{name}: {HALF}", clean
        clean[name] = value
    if kind == "preferences" and clean["chosen"] == clean["rejected"]:
        return "chosen and rejected are the same", clean
    if kind == "prompts" and not clean["group"]:
        clean["group"] = shape.text_group(clean["text"])
    return None, clean
