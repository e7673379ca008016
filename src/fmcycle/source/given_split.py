"""The split that rows came with: by a word in their column, or by the name of their file."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip


def place_of(value) -> str | None:
    """The split that a word names, "train_sft" and "test-00001" too; None where it names none."""
    words = re.split(r"[^a-z]+", re.sub(r"-\d+-of-\d+$", "", str(value).lower()).strip("0123456789_- "))
    return next((SPLITS[word] for word in (words[0], words[-1]) if word in SPLITS), None)


def place_of_file(name: str) -> str | None:
    """The split that a file's name or one of its folders' names."""
    *folders, file = PurePosixPath(name).parts or ("",)
    return next((place for part in (file.split(".")[0], *reversed(folders)) if (place := place_of(part))), None)


def places_of(names: list[str], is_text: Callable[[str], bool]) -> dict[str, str]:
    """{file: the split that its name gives its rows}: of tables, and of texts where every file has one; none where all are called train."""
    found = {name: place for name in names if (place := place_of_file(name))}
    if len(found) < len(names):
        found = {name: place for name, place in found.items() if not is_text(name)}
    return found if {*found.values()} - {"train"} else {}
