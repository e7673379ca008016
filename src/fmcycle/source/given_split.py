"""The split that a row declares by its column `split`, or that its file's name declares."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath

SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
HINT = re.compile("train|val|dev|test", re.I)  # every name of SPLITS has one of these in it


def place_of(value) -> str | None:
    """The split that a value names, also as "train_sft" or "test-00001"; None if it names none."""
    words = re.split(r"[^a-z]+", re.sub(r"-\d+-of-\d+$", "", str(value).lower()).strip("0123456789_- "))
    return next((SPLITS[word] for word in (words[0], words[-1]) if word in SPLITS), None)


def place_of_file(name: str) -> str | None:
    """The split in a file's name, else in the name of its nearest folder that has one; None if there is none."""
    if not HINT.search(name):
        return None
    *folders, file = PurePosixPath(name).parts or ("",)
    return next((place for part in (file.split(".")[0], *reversed(folders)) if (place := place_of(part))), None)


def places_of(names: list[str], is_text: Callable[[str], bool]) -> dict[str, str]:
    """{file: split in its name}. Files of one text count only if every file names a split; {} if all of them name train."""
    found = {name: place for name in names if (place := place_of_file(name))}
    if len(found) < len(names):
        found = {name: place for name, place in found.items() if not is_text(name)}
    return found if {*found.values()} - {"train"} else {}
