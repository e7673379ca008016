"""The profile as one HTML page: no script, nothing loaded from elsewhere."""

from html import escape

from fmcycle.curation import picture
from fmcycle.licence.policy import family

SHOWN = 30  # rows of a table
STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #3a7bd5; --lost: #d5663a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; }
.bar { background: var(--bar); height: .8rem; border-radius: 2px; min-width: 1px; } .lost { background: var(--lost); }
.track { width: 40%; min-width: 5rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--line); padding-left: .8rem; }
summary { cursor: pointer; overflow-wrap: anywhere; } .note { opacity: .75; }
svg { display: block; width: 100%; margin-bottom: 1rem; } svg text { font-size: 11px; fill: currentColor; }
svg .name { font-weight: 600; font-size: 12px; }
svg .lost { fill: var(--lost); background: none; font-weight: 600; }
.band { fill: var(--bar); fill-opacity: .55; } .gone { fill: var(--lost); fill-opacity: .7; }
svg line { stroke: currentColor; stroke-opacity: .5; }
"""


def page(profile: dict) -> str:
    """The whole page."""
    head = f"{profile['read']:,} read = {profile['kept']:,} kept + {profile['dropped']:,} dropped + {profile['quarantined']:,} quarantined"
    shares = profile["shares"]
    sections = [
        ("Through the steps", picture.flow(profile["flow"]) + flow(profile["flow"])),
        ("Why rows were dropped", reasons(profile["reasons"])),
        ("Tables and splits", tables(profile["tables"])),
        *((f"Documents by {name}", bars(shares.get(name, []), "megabytes", "MB")) for name in ("domain", "source")),
        ("Documents by licence", licences(shares.get("licence", []))),
        *((f"Documents by {name}", bars(shares.get(name, []), "megabytes", "MB")) for name in ("language", "type", "origin", "split")),
        ("Instructions by task", bars([{"name": name, "rows": rows} for name, rows in profile["tasks"].items()], "rows", "rows")),
        ("Length of the kept documents, characters", bars(named(profile["lengths"]), "rows", "rows", len(profile["lengths"]))),
        *((f"Score of the kept documents: {name}", scores(bins)) for name, bins in profile["scores"].items()),
        *((f"Counted by {step}", counted(found)) for step, found in profile["counts"].items()),
        *((f"Found by {step}", findings(found)) for step, found in profile["findings"].items()),
        ("Quarantined", quarantine(profile["quarantine"], profile["quarantined"])),
        ("Kept: examples", examples(profile["kept_examples"], "domain")),
        ("Dropped: examples", examples(profile["dropped_examples"], "reason")),
    ]
    body = "".join(f"<h2>{escape(title)}</h2>\n{content}\n" for title, content in sections if content)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Curation profile</title><style>{STYLE}</style></head><body>\n<h1>Curation profile</h1>\n"
        f'<p class="note">{head}; {profile["megabytes"]:,.1f} MB of documents. Personal data in examples is masked here.</p>\n'
        f"{body}</body></html>\n"
    )


def rows_of(head: list[str], rows: list[list]) -> str:
    """A table; numbers stand right. Cells that are tuples hold markup."""

    def cell(value) -> str:
        if isinstance(value, tuple):
            return f'<td class="track">{value[0]}</td>'
        if isinstance(value, int | float):
            return f'<td class="n">{value:,}</td>'
        return f"<td>{escape(str(value))}</td>"

    numeric = [bool(rows) and isinstance(rows[0][place], int | float) for place in range(len(head))]
    titles = "".join(
        f'<th class="n">{escape(name)}</th>' if number else f"<th>{escape(name)}</th>" for name, number in zip(head, numeric, strict=True)
    )
    return (
        f'<div class="scroll"><table><tr>{titles}</tr>'
        + "".join("<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows)
        + "</table></div>"
    )


def bar(value: float, most: float, kind: str = "") -> tuple[str]:
    """A bar as long as its share of the greatest value."""
    return (f'<div class="bar {kind}" style="width:{100 * value / most:.1f}%"></div>' if value else "",)


def bars(entries: list[dict], measure: str, unit: str, shown: int = SHOWN) -> str:
    """A table of names with rows, the measure and its bar; "" without entries. Of many names the largest, and one line for the rest."""
    if not entries:
        return ""
    if len(entries) > shown:
        entries = sorted(entries, key=lambda entry: -entry[measure])
        rest = {key: round(sum(entry[key] for entry in entries[shown:]), 3) for key in {"rows", measure}}
        entries = [*entries[:shown], rest | {"name": f"{len(entries) - shown:,} more"}]
    most = max(entry[measure] for entry in entries)
    columns = ["rows"] if measure == "rows" else ["rows", measure]
    head = ["", "rows", ""] if measure == "rows" else ["", "rows", unit, ""]
    return rows_of(head, [[entry["name"] or "none", *(entry[name] for name in columns), bar(entry[measure], most)] for entry in entries])


def licences(entries: list[dict]) -> str:
    """As bars, with the family of each licence."""
    return bars([entry | {"name": f"{entry['name']} ({family(entry['name'])})"} for entry in entries], "megabytes", "MB")


def scores(bins: list[dict]) -> str:
    """A histogram of a score from 0 to 1."""
    return bars([{"name": f"{entry['from']:.2f} to {entry['from'] + 0.05:.2f}", "rows": entry["rows"]} for entry in bins], "rows", "rows")


def counted(found: dict[str, int]) -> str:
    """What a step counted in the texts."""
    return bars([{"name": name, "rows": count} for name, count in found.items()], "rows", "rows").replace(">rows<", ">count<", 1)


def findings(found, title: str = "") -> str:
    """Plain data of a step: figures as bars, records (also by name) as a table, and what is nested under a title of its own."""
    head = f"<h3>{escape(title)}</h3>" if title else ""
    if isinstance(found, dict) and found and all(isinstance(entry, dict) and figures_of(entry) == entry for entry in found.values()):
        found = [{"": name, **entry} for name, entry in found.items()]
    if isinstance(found, list) and found and all(isinstance(entry, dict) for entry in found):
        names = list(dict.fromkeys(name for entry in found for name in entry))
        return head + rows_of(names, [[plain(entry.get(name, "")) for name in names] for entry in found[:SHOWN]])
    if not isinstance(found, dict):
        return head + f"<p>{escape(str(found))}</p>"
    figures = figures_of(found)
    most = max((abs(value) for value in figures.values() if not isinstance(value, str)), default=0)
    lines = [[name, plain(value), bar(0 if isinstance(value, str) else abs(value), most)] for name, value in figures.items()]
    nested = "".join(findings(value, name) for name, value in found.items() if name not in figures)
    return head + (rows_of(["", "", ""], lines[:SHOWN]) if lines else "") + nested


def figures_of(found: dict) -> dict:
    """The entries that fit into a cell."""
    return {name: value for name, value in found.items() if isinstance(value, int | float | str)}


def plain(value):
    """A cell."""
    return round(value, 4) if isinstance(value, float) else value if isinstance(value, int | str) else str(value)


def named(lengths: list[dict]) -> list[dict]:
    """The bins with a name."""
    return [{"name": f"{entry['from']:,} to {entry['to'] - 1:,}", "rows": entry["rows"]} for entry in lengths]


def tables(found: dict[str, dict[str, int]]) -> str:
    """Rows of every table by split."""
    head = ["", "rows", "train", "validation", "test"]
    return rows_of(head, [[name, *(counts.get(column, 0) for column in head[1:])] for name, counts in found.items()])


def flow(steps: list[dict]) -> str:
    """What each step found, dropped and changed."""
    most = max((step["bytes_before"] for step in steps), default=0)
    return rows_of(
        ["step", "documents in", "dropped", "changed", "out", "bytes out", ""],
        [
            [s["step"], s["before"], s["dropped"], s["changed"], s["after"], picture.size(s["bytes_after"]), bar(s["bytes_after"], most)]
            for s in steps
        ],
    )


def reasons(entries: list[dict]) -> str:
    """Dropped rows by reason."""
    most = max((entry["rows"] for entry in entries), default=0)
    rows = [
        [entry["step"], entry["domain"], entry["reason"], entry["rule"], entry["rows"], bar(entry["rows"], most, "lost")]
        for entry in entries[:SHOWN]
    ]
    more = f"<p>{len(entries) - SHOWN:,} more in profile.json</p>" if len(entries) > SHOWN else ""
    return rows_of(["step", "domain or table", "reason", "rule", "rows", ""], rows) + more if rows else ""


def quarantine(entries: list[dict], total: int) -> str:
    """The first quarantined lines and files."""
    if not entries:
        return "<p>Nothing.</p>"
    more = f"<p>{total - len(entries):,} more in quarantine.jsonl</p>" if total > len(entries) else ""
    return rows_of(["file", "line", "reason"], [[entry["file"], str(entry["line"] or ""), entry["reason"]] for entry in entries]) + more


def examples(entries: list[dict], label: str) -> str:
    """Texts to unfold, each with its label, id and, where dropped, the measured value."""
    parts = []
    for entry in entries:
        why = f" · {escape(entry['rule'])}: {escape(str(entry['value']))}" if entry.get("rule") else ""
        step = f"{escape(entry['step'])} · " if entry.get("step") else ""
        head = f"{step}<b>{escape(entry[label])}</b> · {escape(entry['id'])}{why}"
        parts.append(f"<details><summary>{head}</summary><pre>{escape(entry['text'])}</pre></details>")
    return "\n".join(parts)
