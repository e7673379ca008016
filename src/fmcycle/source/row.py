"""Records as rows of our tables: which table, what is missing, and what no text is."""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from fmcycle.source import given_split, shape
from fmcycle.source.readable import HALF, encodable, plain, readable
from fmcycle.tables.schema import DEFAULT, ORIGINS, READ

Record = tuple[int, int | None, dict | str]  # place in the file, line, the row or why there is none
CONTROLS, BLANK = r"[\x00-\x07\x0e-\x1f]", r"^\s*$"
BINDING = ("licence", "origin", "split")  # a row of which these can't be read is none; other columns may go


class Printable(list):
    """Records whose strings hold no character of CONTROL: they need not be searched for one."""


@dataclass
class Read:
    """What was read together: tables with their columns and `row`, what is no row ({file, line, reason}), and how many both are.

    shapes: rows of each; unread: rows that have a column which nothing reads."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    quarantine: list[dict] = field(default_factory=list)
    read: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)

    def table(self, name: str) -> pl.DataFrame:
        """The rows of one table in the order of the input, with their ids as they stand there: of two rows maybe the same."""
        return self.tables[name].drop("row")


@dataclass(frozen=True)
class Origin:
    """What a row gets that does not say it itself, where rows are numbered from, and the columns that a person named.

    split: that the file's name gives; None: nobody asks which split a row came with."""

    source: str
    licence: str
    origin: str
    row: int = 0
    split: str | None = ""
    map: shape.Map = ()


def take(records: list[Record], file: str, origin: Origin) -> Read:
    """Sort records into tables; `row` is `origin.row` and the record's place, a missing id is file and line."""
    printable = isinstance(records, Printable)
    read = Read(read=len(records))
    refused: list[tuple] = [(line, reason) for _, line, reason in records if isinstance(reason, str)]
    alike: dict[tuple, list[Record]] = {}  # the usual file: every row has the same columns
    for record in records:
        if not isinstance(record[2], str):
            alike.setdefault(tuple(record[2]), []).append(record)
    sorted_in: dict[str, list[Record]] = {}
    for names, some in alike.items():
        plan = shape.plan(names, origin.map)
        if plan.table is None:
            refused += [(line, shape.no_row(names)) for _, line, _ in some]
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
    """The columns of a row that have a name of ours, under it."""
    return {name: row[column] for column, name in names.items()}


def shaped(records: list[Record], sorted_in: dict[str, list[Record]], read: Read) -> list[tuple]:
    """Put records, each by its own shape, into their tables; [(line, reason)] of those that are none."""
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
    """`take` for documents that are columns already: strings, `place` and `line`."""
    plan = shape.plan(tuple(name for name in frame.columns if name not in ("place", "line")), origin.map)
    frame = frame.select("place", "line", *(pl.col(column).alias(name) for column, name in plan.names.items()))
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in READ["documents"].items() if name not in frame.columns]
    fair, refused = readable_rows(frame.with_columns(missing))
    fair, astray = placed(fair, origin.split is not None)
    quarantine = [{"file": file, "line": line, "reason": reason} for line, reason in [*refused, *astray]]
    tables = {"documents": filled("documents", fair, file, origin)} if fair.height else {}
    return Read(tables, quarantine, frame.height, Counter({"documents": frame.height}), Counter(dict.fromkeys(plan.unread, frame.height)))


def table(
    kind: str, records: list[Record], file: str, origin: Origin, printable: bool, unread: Counter[str]
) -> tuple[pl.DataFrame, list[tuple]]:
    """(rows of one table, [(line, reason)] of those that are none). Plain strings go straight into columns."""
    refused: list[tuple] = []
    if kind == "documents":
        try:
            frame = columns(kind, records)
        except (TypeError, ValueError, pl.exceptions.PolarsError):  # something is no string: look at every row
            records, refused = sifted(kind, records, unread)
            frame = columns(kind, records)
        frame, bad = readable_rows(frame, printable)
        refused += bad
    else:
        records, refused = sifted(kind, records, unread)
        frame = columns(kind, records)
    frame, bad = placed(frame, origin.split is not None)
    return filled(kind, frame, file, origin), refused + bad


def placed(frame: pl.DataFrame, asked: bool) -> tuple[pl.DataFrame, list[tuple]]:
    """(rows with the split that each came with as train, validation, test or null, [(line, reason)] of those in another)."""
    if not asked:
        return frame.with_columns(split=pl.lit(None, pl.String)), []
    if frame["split"].null_count() == frame.height:
        return frame, []
    words = frame["split"].drop_nulls().unique()
    meant = pl.Series([given_split.place_of(word) for word in words], dtype=pl.String)
    frame = frame.with_columns(
        split=pl.col("split").replace_strict(words, meant, default=None, return_dtype=pl.String), word=pl.col("split")
    )
    astray = pl.col("split").is_null() & pl.col("word").is_not_null() & (pl.col("word") != "")
    refused = [
        (line, f"split {word!r} is none of train, validation, test")
        for line, word in frame.filter(astray).select("line", "word").iter_rows()
    ]
    return frame.filter(~astray.fill_null(False)).drop("word"), refused


def columns(kind: str, records: list[Record]) -> pl.DataFrame:
    """The known columns of records of one table, `place` and `line`; null where a row says nothing. TypeError for what is no string."""
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
    missing = DEFAULT | {"source": origin.source, "licence": origin.licence, "origin": origin.origin, "split": origin.split or ""}
    frame = frame.with_columns(id=or_else(frame, "id", pl.format("{}#{}", pl.lit(file), "line").fill_null(pl.lit(file))))
    frame = frame.with_columns(or_else(frame, name, pl.lit(value)) for name, value in missing.items() if name in READ[kind])
    frame = frame.with_columns(or_else(frame, "group", pl.col("id")), row=pl.lit(origin.row, pl.UInt64) + pl.col("place"))
    if "origin" in READ[kind] and not frame["origin"].is_in(ORIGINS).all():
        frame = frame.with_columns(origin=pl.when(pl.col("origin").is_in(ORIGINS)).then("origin").otherwise(pl.lit(origin.origin)))
    return frame.select(*READ[kind], "row")


def or_else(frame: pl.DataFrame, name: str, other: pl.Expr) -> pl.Expr:
    """The column `name`, and `other` where it is null or empty."""
    own, nulls = pl.col(name), frame[name].null_count()
    if nulls == frame.height:
        return other.alias(name)
    if not nulls and not (frame[name] == "").any():
        return own
    return pl.when(own.is_null() | (own == "")).then(other).otherwise(own).alias(name)


def sifted(kind: str, records: list[Record], unread: Counter[str]) -> tuple[list[Record], list[tuple]]:
    """(records of which every known column is what it should be, [(line, reason)] of the others)."""
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
    """(why `row` is none of this table, or None; its known columns, other scalars as strings). A column of an odd type is left out."""
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
                return "media is no bytes", clean
        elif name in ("messages", "prompt"):
            for turn in value:  # type: ignore[union-attr]
                if problem := readable(turn["content"])[0]:
                    return f"{name}: what the {turn['role']} says: {problem}", clean
        elif name in ("chosen", "rejected"):
            problem, value = readable(value)
            if problem:
                return f"{name}: {problem}", clean
        elif value is not None and name != "masked":
            value = plain(value)
            if value is None and name in BINDING:
                return f"{name} is no string but {type(row[name]).__name__}", clean
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
