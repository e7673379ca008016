"""The source.map that a refusal of unknown columns suggests."""

import re
from collections.abc import Collection

from fmcycle.source.column import usual

BESIDE = ("id", "source", "licence", "group", "time", "origin", "split")
GUESSES = {  # our name: a part of a column's name that may mean it; the first that fits counts
    "rejected": re.compile(r"reject|los(e|er|ing)|worse|worst|bad|neg|dispref|nonpref|non_pref", re.I),
    "chosen": re.compile(r"chosen|win|better|best|good|pos|prefer|accept", re.I),
    "prompt": re.compile(r"prompt|quest|ask|instr|quer|input|user|problem|task", re.I),
}


def no_row(columns: Collection[str]) -> str:
    """Why rows with these columns are refused, with a source.map to copy."""
    named = [str(column) for column in columns]
    wordy = [column for column in named if usual(column) not in BESIDE]
    shown = ", ".join(named[:12]) + (" ..." if len(named) > 12 else "")
    copied = ", ".join(f"{name}: {column}" for name, column in guessed(wordy or named).items())
    return f"no table fits the columns {shown}; name them, for instance 'source.map={{{copied}}}'"


def guessed(columns: list[str]) -> dict[str, str]:
    """A source.map for these columns: a preference if two of their names sound like one, else a question and its answer, or a text."""
    left, found = [*columns], dict[str, str]()
    for name, form in GUESSES.items():
        if (column := next((column for column in left if form.search(column)), None)) is not None:
            found[name] = column
            left.remove(column)
    if {"chosen", "rejected"} <= found.keys():
        found.setdefault("prompt", (left or ["COLUMN"])[0])
        return {name: found[name] for name in ("prompt", "chosen", "rejected")}
    return dict(zip(("prompt", "completion"), columns, strict=False)) if len(columns) > 1 else {"text": (columns or ["COLUMN"])[0]}
