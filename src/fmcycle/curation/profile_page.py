"""Render the profile as one HTML page without scripts and external resources."""

from pathlib import Path
from typing import Any, NamedTuple

from fmcycle.artifact.page import render
from fmcycle.curation import picture
from fmcycle.licence.policy import family

TEMPLATE = "profile.html"
SHOWN = 30  # rows of a table


class Bar(NamedTuple):
    """A cell with a bar: its length in percent of the longest, and its kind ("lost" has another colour)."""

    percent: float
    kind: str = ""


class Table(NamedTuple):
    """head: a name for each column; rows: cells that are numbers, texts or Bars; below: a sentence after the table."""

    head: list[str]
    rows: list[list]
    title: str = ""
    below: str = ""


def page(profile: dict) -> str:
    """The whole page."""
    found = {title: content for title, content in sections(profile) if content}
    return render(Path(__file__).with_name(TEMPLATE), profile=profile, flow=picture.flow(profile["flow"]), sections=found)


def sections(profile: dict) -> list[tuple[str, list[Table]]]:
    """(title, its tables), in the order of the page."""
    shares, tasks, lengths = profile["shares"], profile["tasks"], profile["lengths"]
    return [
        ("Through the steps", flow(profile["flow"])),
        ("Why rows were dropped", reasons(profile["reasons"])),
        ("Tables and splits", tables(profile["tables"])),
        *((f"Documents by {name}", bars(shares.get(name, []), "megabytes", "MB")) for name in ("domain", "source")),
        ("Documents by licence", licences(shares.get("licence", []))),
        *((f"Documents by {name}", bars(shares.get(name, []), "megabytes", "MB")) for name in ("language", "type", "origin", "split")),
        ("Instructions by task", bars([{"name": name, "rows": rows} for name, rows in tasks.items()])),
        ("Length of the kept documents, characters", bars(named(lengths), shown=len(lengths))),
        *((f"Score of the kept documents: {name}", scores(bins)) for name, bins in profile["scores"].items()),
        *((f"Counted by {step}", counted(found)) for step, found in profile["counts"].items()),
        *((f"Found by {step}", findings(found)) for step, found in profile["findings"].items()),
        ("Quarantined", quarantine(profile["quarantine"], profile["quarantined"])),
    ]


def bar(value: float, most: float, kind: str = "") -> Bar:
    """A bar as long as its share of the greatest value."""
    return Bar(100 * value / most if value else 0.0, kind)


def bars(entries: list[dict], measure: str = "rows", unit: str = "rows", shown: int = SHOWN) -> list[Table]:
    """A table of names with rows, the measure and its bar, if there are entries. The largest `shown` names, one line for the rest."""
    if not entries:
        return []
    if len(entries) > shown:
        entries = sorted(entries, key=lambda entry: -entry[measure])
        rest = {key: round(sum(entry[key] for entry in entries[shown:]), 3) for key in {"rows", measure}}
        entries = [*entries[:shown], rest | {"name": f"{len(entries) - shown:,} more"}]
    most = max(entry[measure] for entry in entries)
    columns = {"rows": "rows", measure: unit}
    rows = [[entry["name"] or "none", *(entry[name] for name in columns), bar(entry[measure], most)] for entry in entries]
    return [Table(["", *columns.values(), ""], rows)]


def licences(entries: list[dict]) -> list[Table]:
    """Bars by licence, each with its family."""
    return bars([entry | {"name": f"{entry['name']} ({family(entry['name'])})"} for entry in entries], "megabytes", "MB")


def scores(bins: list[dict]) -> list[Table]:
    """A histogram of a score from 0 to 1."""
    return bars([{"name": f"{entry['from']:.2f} to {entry['from'] + 0.05:.2f}", "rows": entry["rows"]} for entry in bins])


def counted(found: dict[str, int]) -> list[Table]:
    """A step's counts as bars."""
    return bars([{"name": name, "rows": count} for name, count in found.items()], unit="count")


def findings(found: Any, title: str = "") -> list[Table]:
    """Plain data of a step: figures as bars, records (also by name) as a table, nested data under a title of its own."""
    if isinstance(found, dict) and found and all(isinstance(entry, dict) and figures_of(entry) == entry for entry in found.values()):
        found = [{"": name, **entry} for name, entry in found.items()]
    if isinstance(found, list) and found and all(isinstance(entry, dict) for entry in found):
        names = list(dict.fromkeys(name for entry in found for name in entry))
        return [Table(names, [[plain(entry.get(name, "")) for name in names] for entry in found[:SHOWN]], title)]
    if not isinstance(found, dict):
        return [Table([], [], title, str(found))]
    figures = figures_of(found)
    most = max((abs(value) for value in figures.values() if not isinstance(value, str)), default=0)
    lines = [[name, plain(value), bar(0 if isinstance(value, str) else abs(value), most)] for name, value in figures.items()]
    nested = [table for name, value in found.items() if name not in figures for table in findings(value, name)]
    own = [Table(["", "", ""] if lines else [], lines[:SHOWN], title)] if lines or title else []
    return own + nested


def figures_of(found: dict) -> dict:
    """The entries that fit into a cell."""
    return {name: value for name, value in found.items() if isinstance(value, int | float | str)}


def plain(value):
    """A value in the form of a cell."""
    return round(value, 4) if isinstance(value, float) else value if isinstance(value, int | str) else str(value)


def named(lengths: list[dict]) -> list[dict]:
    """The bins with a name."""
    return [{"name": f"{entry['from']:,} to {entry['to'] - 1:,}", "rows": entry["rows"]} for entry in lengths]


def tables(found: dict[str, dict[str, int]]) -> list[Table]:
    """Rows of every table by split."""
    head = ["", "rows", "train", "validation", "test"]
    return [Table(head, [[name, *(counts.get(column, 0) for column in head[1:])] for name, counts in found.items()])]


def flow(steps: list[dict]) -> list[Table]:
    """The number of documents that entered each step, were dropped and changed, and its output."""
    most = max((step["bytes_before"] for step in steps), default=0)
    rows = [
        [s["step"], s["before"], s["dropped"], s["changed"], s["after"], picture.size(s["bytes_after"]), bar(s["bytes_after"], most)]
        for s in steps
    ]
    return [Table(["step", "documents in", "dropped", "changed", "out", "bytes out", ""], rows)]


def reasons(entries: list[dict]) -> list[Table]:
    """Dropped rows by reason."""
    most = max((entry["rows"] for entry in entries), default=0)
    rows = [
        [entry["step"], entry["domain"], entry["reason"], entry["rule"], entry["rows"], bar(entry["rows"], most, "lost")]
        for entry in entries[:SHOWN]
    ]
    more = f"{len(entries) - SHOWN:,} more in profile.json" if len(entries) > SHOWN else ""
    return [Table(["step", "domain or table", "reason", "rule", "rows", ""], rows, below=more)] if rows else []


def quarantine(entries: list[dict], total: int) -> list[Table]:
    """The first quarantined lines and files."""
    if not entries:
        return [Table([], [], below="Nothing.")]
    more = f"{total - len(entries):,} more in quarantine.jsonl" if total > len(entries) else ""
    rows = [[entry["file"], str(entry["line"] or ""), entry["reason"]] for entry in entries]
    return [Table(["file", "line", "reason"], rows, below=more)]
