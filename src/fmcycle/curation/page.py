"""The profile as one HTML page: no script, no picture, nothing loaded from elsewhere."""

from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #3a7bd5; --lost: #d5663a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; }
.bar { background: var(--bar); height: .8rem; border-radius: 2px; min-width: 1px; } .lost { background: var(--lost); }
.track { width: 40%; } pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--line); padding-left: .8rem; }
summary { cursor: pointer; overflow-wrap: anywhere; } .note { opacity: .75; }
"""


def page(profile: dict) -> str:
    """The whole page."""
    head = f"{profile['read']:,} read = {profile['kept']:,} kept + {profile['dropped']:,} dropped + {profile['quarantined']:,} quarantined"
    sections = [
        ("Tables and splits", tables(profile["tables"])),
        ("Documents by domain", bars(profile["shares"].get("domain", []), "megabytes", "MB")),
        ("Documents by source", bars(profile["shares"].get("source", []), "megabytes", "MB")),
        ("Documents by licence", bars(profile["shares"].get("licence", []), "megabytes", "MB")),
        ("Documents by split", bars(profile["shares"].get("split", []), "megabytes", "MB")),
        ("Instructions by task", bars([{"name": name, "rows": rows} for name, rows in profile["tasks"].items()], "rows", "rows")),
        ("Through the steps", flow(profile["flow"])),
        ("Why rows were dropped", reasons(profile["reasons"])),
        ("Length of the kept documents, characters", bars(named(profile["lengths"]), "rows", "rows")),
        ("Quarantined", quarantine(profile["quarantine"], profile["quarantined"])),
        ("Kept: examples", examples(profile["kept_examples"], "domain")),
        ("Dropped: examples", examples(profile["dropped_examples"], "reason")),
    ]
    body = "".join(f"<h2>{title}</h2>\n{content}\n" for title, content in sections if content)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Curation profile</title><style>{STYLE}</style></head><body>\n<h1>Curation profile</h1>\n"
        f'<p class="note">{head}; {profile["megabytes"]:,.1f} MB of documents</p>\n{body}</body></html>\n'
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
    return (f'<div class="bar {kind}" style="width:{100 * value / most if most else 0:.1f}%"></div>',)


def bars(entries: list[dict], measure: str, unit: str) -> str:
    """A table of names with rows, the measure and its bar; "" without entries."""
    if not entries:
        return ""
    most = max(entry[measure] for entry in entries)
    if measure == "rows":
        return rows_of(["", "rows", ""], [[entry["name"], entry["rows"], bar(entry["rows"], most)] for entry in entries])
    return rows_of(["", "rows", unit, ""], [[entry["name"], entry["rows"], entry[measure], bar(entry[measure], most)] for entry in entries])


def named(lengths: list[dict]) -> list[dict]:
    """The bins with a name."""
    return [{"name": f"{entry['from']:,} to {entry['to'] - 1:,}", "rows": entry["rows"]} for entry in lengths]


def tables(found: dict[str, dict[str, int]]) -> str:
    """Rows of every table by split."""
    head = ["", "rows", "train", "validation", "test"]
    return rows_of(head, [[name, *(counts.get(column, 0) for column in head[1:])] for name, counts in found.items()])


def flow(steps: list[dict]) -> str:
    """What each step found, dropped and changed."""
    most = max((step["before"] for step in steps), default=0)
    return rows_of(
        ["step", "documents in", "dropped", "changed", "out", ""],
        [[s["step"], s["before"], s["dropped"], s["changed"], s["after"], bar(s["after"], most)] for s in steps],
    )


def reasons(entries: list[dict]) -> str:
    """Dropped rows by reason."""
    most = max((entry["rows"] for entry in entries), default=0)
    rows = [[entry["domain"], entry["reason"], entry["rule"], entry["rows"], bar(entry["rows"], most, "lost")] for entry in entries]
    return rows_of(["domain or table", "reason", "rule", "rows", ""], rows) if rows else ""


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
        head = f"<b>{escape(entry[label])}</b> · {escape(entry['id'])}{why}"
        parts.append(f"<details><summary>{head}</summary><pre>{escape(entry['text'])}</pre></details>")
    return "\n".join(parts)
