"""The split that a row declares by its column `split`, or that its file's name declares."""

import fnmatch
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


def of_card(head: dict | None) -> list[tuple[str, str]]:
    """[(pattern of files, split)] of the configs in a dataset card; a split of another name counts as none."""
    configs = (head or {}).get("configs")
    found: list[tuple[str, str]] = []
    for config in configs if isinstance(configs, list) else []:
        files = config.get("data_files") if isinstance(config, dict) else None
        parts = (
            [{"split": split, "path": path} for split, path in files.items()] if isinstance(files, dict) and "path" not in files else files
        )
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, dict) and (place := place_of(part.get("split"))):
                paths = part.get("path")
                found += [(str(path).removeprefix("./"), place) for path in (paths if isinstance(paths, list) else [paths])]
    return found


def places_of(names: list[str], is_text: Callable[[str], bool], card: list[tuple[str, str]] | tuple = ()) -> dict[str, str]:
    """{file: split that the card declares, else the one in its name}; {} if all of them are train.

    Files of one text count only if every file has a split.
    """
    patterns = [(re.compile(fnmatch.translate(pattern)), place) for pattern, place in card]
    said = {name: next((place for pattern, place in patterns if pattern.match(name)), None) or place_of_file(name) for name in names}
    found = {name: place for name, place in said.items() if place}
    if len(found) < len(names):
        found = {name: place for name, place in found.items() if not is_text(name)}
    return found if {*found.values()} - {"train"} else {}
