"""The licence that a folder declares: in fmcycle's record, a LICENSE file or a dataset card. None of these files is data."""

import json
import os
import re
from pathlib import Path

import yaml

from fmcycle.artifact.folder import unique
from fmcycle.errors import InputError
from fmcycle.licence.policy import UNKNOWN, family, spelled
from fmcycle.tables.schema import ORIGINS

RECORDS, README = ("licence.json", "license.json"), "readme.md"
NOTHING = {"licence": UNKNOWN, "origin": UNKNOWN}
TEXT = re.compile(r"((un)?licen[sc]e([-_][a-z0-9-]+(\.\d+)?)?|copying)(\.(txt|md|rst))?", re.I)
CARD = re.compile(r"\A---\r?\n(.*?)\r?\n---\s*$", re.S | re.M)
CARD_KEYS = {"license", "license_name", "task_categories", "configs", "dataset_info", "size_categories", "pretty_name", "language", "tags"}
FORMS = {  # SPDX name: a pattern of the licence's text; the first that matches counts
    "CC0-1.0": r"CC0 1\.0 Universal|Creative Commons Zero",
    "CC-{}-{}": r"(Attribution(?:-NonCommercial)?(?:-NoDerivatives|-NoDerivs|-ShareAlike)?) (\d\.\d)",
    "AGPL-{}": r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version (\d)",
    "LGPL-{}": r"GNU (?:LESSER|LIBRARY) GENERAL PUBLIC LICENSE\s+Version (\d(?:\.\d)?)",
    "GPL-{}": r"GNU GENERAL PUBLIC LICENSE\s+Version (\d)",
    "Apache-2.0": r"Apache License,?\s+Version 2\.0",
    "MPL-2.0": r"Mozilla Public License,? Version 2\.0",
    "Unlicense": r"This is free and unencumbered software",
    "MIT": r"Permission is hereby granted, free of charge, to any person obtaining",
    "ISC": r"Permission to use, copy, modify, and(?:/or)? distribute this software for any purpose",
    "BSD-3-Clause": r"Redistribution and use in source and binary forms[\s\S]*Neither the name",
    "BSD-2-Clause": r"Redistribution and use in source and binary forms",
}
SHORT = {"Attribution": "BY", "NonCommercial": "NC", "NoDerivatives": "ND", "NoDerivs": "ND", "ShareAlike": "SA"}


def is_licence(path: str) -> bool:
    """True for a licence text, a licence record or a dataset card: these files are not data."""
    name = path.rpartition("/")[2]
    return name in RECORDS or bool(TEXT.fullmatch(name)) or (name.lower() == README and card(Path(path)) is not None)


def card(file: Path) -> dict | None:
    """The YAML front matter of a dataset card; None for any other file."""
    if file.name.lower() != README or not file.is_file():
        return None
    with open(file, encoding="utf-8", errors="replace") as stream:
        found = CARD.search(stream.read(1 << 16))
    try:
        head = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return None
    return head if isinstance(head, dict) and CARD_KEYS & {*map(str, head)} else None


def card_of(folder: Path) -> dict | None:
    """The front matter of the dataset card in a folder; None if it has none."""
    names = sorted(name for name in os.listdir(folder) if name.lower() == README) if folder.is_dir() else []
    return next((head for name in names if (head := card(folder / name)) is not None), None)


def said(folder: Path) -> dict[str, str] | None:
    """{"licence", "origin"} that a file in `folder` declares; None if none does.

    Raises InputError for a record that cannot be read: fmcycle never guesses whether a text may be used.
    """
    for name in RECORDS:
        if (folder / name).is_file():
            return recorded(folder / name)
    telling = sorted(name for name in os.listdir(folder) if TEXT.fullmatch(name) or name.lower() == README) if folder.is_dir() else []
    files = [file for name in telling if (file := folder / name).is_file()]
    for file in files:
        if (head := card(file)) and (licence := head.get("license_name") or head.get("license")):
            named = licence if isinstance(licence, list) else [licence]
            return {"licence": " AND ".join(map(str, named)), "origin": UNKNOWN}
    texts = [file for file in files if TEXT.fullmatch(file.name)]
    return {"licence": " AND ".join(dict.fromkeys(map(recognised, texts))), "origin": UNKNOWN} if texts else None


def recorded(file: Path) -> dict[str, str]:
    """The licence and origin in a record. Raises InputError if it has no licence or an unknown origin."""
    try:
        record = json.loads(file.read_text(), object_pairs_hook=unique)
        licence = record["licence"] if "licence" in record else record["license"]
        found = {"licence": str(licence), "origin": str(record.get("origin", UNKNOWN))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{file}: not a licence record ({error}); write {{"licence": "SPDX name"}} into it, or delete it') from error
    if found["origin"] not in ORIGINS:
        raise InputError(f"{file}: origin {found['origin']!r} is not one of {', '.join(ORIGINS)}; write one of them, or leave it out")
    return found


def recognised(file: Path) -> str:
    """The SPDX name of a licence text, by its wording or by a name in its first 200 characters; else LicenseRef- and the file's name."""
    text = file.read_text(encoding="utf-8", errors="replace")[: 1 << 17]
    for name, form in FORMS.items():
        if match := re.search(form, text, re.I):
            parts = [part for part in match.groups() if part]
            if name.startswith("CC-"):
                parts[0] = "-".join(SHORT[word] for word in SHORT if word.lower() in parts[0].lower())
            return name.format(*parts)
    words = spelled(" ".join(text.split())[:200]).replace(",", " ").split()
    named = next((word for word in words if family(word.strip(".;:")) != UNKNOWN), None)
    return named.strip(".;:") if named else f"LicenseRef-{re.sub(r'[^A-Za-z0-9.-]+', '-', file.name)}"
