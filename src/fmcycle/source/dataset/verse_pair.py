"""Verses of one translation paired with the same verses of another, to learn translation from, and the chapters of both."""

from fmcycle.artifact.wheel import Archive
from fmcycle.ranges import PositiveInt
from fmcycle.source.dataset.bible import Verses, prose, verses
from fmcycle.tables.schema import ask


def read(old: Archive, new: Archive, *, longest: PositiveInt = 400) -> dict:
    """`instructions`, task "translate": the user's turn is a verse of `old`, the assistant's the same verse of `new`, nothing beside them.

    longest: characters of either verse. Lines of a poem are joined by a blank. `documents` are the chapters of both, for a tokenizer and
    for pretraining. A chapter and its verses share a group, so that no held-out verse is in a training text. Verses that both translations
    word alike are kept: they are what a baseline that copies gets right.
    """
    before, after = verses(old), verses(new)
    rows = []
    for (book, chapter, verse), text in before.items():
        pair = joined(text), joined(after.get((book, chapter, verse), ""))
        if all(pair) and max(map(len, pair)) <= longest:
            about = {"id": f"verses/{book} {chapter}:{verse}", "group": f"verses/{book} {chapter}", "task": "translate"}
            rows.append({**about, "messages": ask(*pair)})
    return {"documents": [*chapters("old", before), *chapters("new", after)], "instructions": rows}


def chapters(label: str, lines: Verses) -> list[dict]:
    """The chapters of a translation as documents."""
    found: dict[tuple[str, int], list[str]] = {}
    for (book, chapter, _), text in lines.items():
        found.setdefault((book, chapter), []).append(text)
    return [
        {
            "id": f"verses/{label}/{book} {chapter}",
            "group": f"verses/{book} {chapter}",
            "domain": "prose",
            "text": prose(book, chapter, texts),
        }
        for (book, chapter), texts in found.items()
    ]


def joined(verse: str) -> str:
    """A verse on one line."""
    return " ".join(verse.split())
