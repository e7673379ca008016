"""Licences: SPDX names, the families that they belong to, and a policy on which may enter a mix.

A family says what a licence asks in general. It is no legal advice; what a licence means for a trained model is not settled.
"""

import re
from dataclasses import dataclass, field

from fmcycle.errors import InputError

FAMILIES = {  # the first that fits; names as in the SPDX License List, whatever their case
    "non-commercial": r".*-NC(-.*)?|PolyForm-Noncommercial-.*|NCGL-UK-.*|Aladdin|LicenseRef-non-commercial",
    "no-derivatives": r".*-ND(-.*)?",
    "public-domain": r"CC0(-1\.0)?|PDDL(-1\.0)?|Unlicense|CC-PDDC|CC-PDM-1\.0|NIST-PD|DL-DE-ZERO-2\.0|LicenseRef-public-domain",
    "share-alike": r"CC(-BY)?-SA(-.*)?|[AL]?GPL(-.*)?|GFDL(-.*)?|ODbL(-.*)?|MPL(-.*)?|EPL(-.*)?|EUPL-.*|CDDL-.*|CPL-1\.0|OSL-.*"
    r"|CECILL-2.*|CDLA-Sharing-1\.0|SSPL-1\.0|Sleepycat|LAL-1\..|MS-RL|CERN-OHL-[SW]-.*|copyleft-next-.*",
    "attribution": r"CC-BY(-\d.*)?|ODC-By(-1\.0)?|OGL-(UK|Canada)-.*|DL-DE-BY-2\.0|NLOD-.*|etalab-2\.0|CDLA-Permissive-1\.0",
    "permissive": r"MIT(-.*)?|Apache(-.*)?|0?BSD(-.*)?|ISC|Zlib|PSF(-.*)?|Python-.*|CNRI-Python.*|ZPL-.*|BSL-1\.0|Unicode-.*|W3C(-.*)?"
    r"|NCSA|PostgreSQL|WTFPL|HPND|CDLA-Permissive-2\.0|Artistic-2\.0|AFL-.*|X11|curl|OFL-.*",
}
UNKNOWN = "unknown"
WORDS = re.compile(r"\(|\)|[^\s()]+")
CC = r"(?:https?://)?(?:www\.)?creativecommons\.org"
NUMBER = r",?[\s_-]*(?:version\s*|v\.?\s*)?(\d(?:\.\d)?)"
WRITTEN = [  # spellings of names by people and packages; each is applied to the result of those above it
    (rf"{CC}/publicdomain/zero[\w./-]*|\bcc[\s_-]?(?:0|zero)\b(?:[\s_-]*1\.0)?|creative commons zero", "CC0-1.0"),
    (rf"{CC}/publicdomain/mark[\w./-]*", "CC-PDM-1.0"),
    (rf"{CC}/licenses/(by[a-z-]*)/(\d\.\d)[\w./-]*", r"CC-\1-\2"),
    (r"\bcreative commons[\s:-]+", "CC-"),
    (r"(?<=CC-)attribution\b", "BY"),
    (r"(?<=BY)[\s_-]+(?:nc|non[\s_-]?commercial)\b", "-NC"),
    (r"(?:(?<=BY)|(?<=NC))[\s_-]+(?:sa|share[\s_-]?alike)\b", "-SA"),
    (r"(?:(?<=BY)|(?<=NC))[\s_-]+(?:nd|no[\s_-]?deriv\w+)\b", "-ND"),
    (r"\bcc[\s_-]+by\b", "CC-BY"),
    (
        r"(?<![\w-])non[\s_-]?commercial(?: use)?(?: only)?|\b(?:research|academic|educational)(?: use| purposes)?[\s-]only\b",
        "LicenseRef-non-commercial",
    ),
    (r"(?<![\w-])public[\s_-]domain\b", "LicenseRef-public-domain"),
    (r"(?:\bgnu )?\baffero (?:general public licen[sc]e|gpl)", "AGPL"),
    (r"(?:\bgnu )?\b(?:lesser|library) (?:general public licen[sc]e|gpl)", "LGPL"),
    (r"(?:\bgnu )?\bgeneral public licen[sc]e|\bgnu gpl\b", "GPL"),
    (r"\bmozilla public licen[sc]e\b", "MPL"),
    (r"\beclipse public licen[sc]e\b", "EPL"),
    (r"\bapache software licen[sc]e\b", "Apache"),
    (r"\b(?:python software foundation|psfl)\b", "PSF"),
    (
        r"\b(?:the )?(?:(?:new|modified|revised|simplified) )?([23])[\s-]clause[\s-]bsd\b|\bbsd[\s-]([23])(?:[\s-]clause)?\b",
        r"BSD-\1\2-Clause",
    ),
    (r"\b(?:new|modified|simplified) bsd\b", "BSD"),
    (r"\b(CC-BY(?:-(?:NC|SA|ND))*|[AL]?GPL|MPL|EPL|Apache|PSF)((?: licen[sc]e)?)" + NUMBER + r"(?:\.\d)*", r"\1-\3\2"),
    (
        r"\b(?:the )?(MIT|ISC|Zlib|BSD(?:-\d-Clause)?|Apache(?:-\d\.\d)?|PSF|CC-BY[A-Z\d.-]*|[AL]?GPL[\d.-]*|MPL[\d.-]*) "
        r"(?:licen[sc]e|international|unported)\b",
        r"\1",
    ),
    (r"(?<=\S)[,;:|/]+(?=\s|$)|(?<=\s)[|/;,]+(?=\s)", " "),
]


def spelled(text: str) -> str:
    """Return `text` with SPDX names in place of other spellings ("CC BY-SA 4.0", "GPLv2", "Apache License, Version 2.0", an address of
    Creative Commons); an SPDX expression stays."""
    for written, name in WRITTEN:
        text = re.sub(written, name, text, flags=re.I)
    return " ".join(text.split())


def family(name: str) -> str:
    """Return the family of one name, in SPDX's or another spelling; "unknown" for a name that fits none, such as a misspelling."""
    plain = spelled(name).removesuffix("+")
    return next((kind for kind, form in FAMILIES.items() if re.fullmatch(form, plain, re.I)), UNKNOWN)


@dataclass
class Policy:
    """allow: families (public-domain, permissive, attribution, share-alike, no-derivatives, non-commercial, unknown) and single SPDX
    names. Of `A OR B` one must be allowed, of `A AND B` both, of names side by side all; an exception behind WITH changes nothing."""

    allow: list[str] = field(default_factory=lambda: ["public-domain", "permissive", "attribution", UNKNOWN])

    def __post_init__(self):
        for name in self.allow:
            if name not in (*FAMILIES, UNKNOWN) and family(name) == UNKNOWN and not name.startswith("LicenseRef-"):
                known = ", ".join((*FAMILIES, UNKNOWN))
                raise InputError(f"licence.allow: {name} is neither a family ({known}) nor an SPDX name that has one; correct it")

    def permits(self, expression: str) -> bool:
        """True if text under this SPDX expression may enter."""
        words = WORDS.findall(spelled(expression)) or [UNKNOWN]
        found, words = self._either(words)
        while found and words:  # behind a closing bracket without an opening one
            found, words = self._either(words[1:]) if words[1:] else (found, [])
        return found

    def _either(self, words: list[str]) -> tuple[bool, list[str]]:
        found, words = self._both(words)
        while words and words[0].upper() == "OR":
            other, words = self._both(words[1:])
            found = found or other
        return found, words

    def _both(self, words: list[str]) -> tuple[bool, list[str]]:
        found, words = self._one(words)
        while words and words[0] != ")" and words[0].upper() != "OR":
            other, words = self._one(words[1:] if words[0].upper() == "AND" else words)
            found = found and other  # names side by side are not SPDX: all of them must be allowed
        return found, words

    def _one(self, words: list[str]) -> tuple[bool, list[str]]:
        if not words:
            return False, []
        if words[0] == "(":
            found, words = self._either(words[1:])
            return found, words[1:]
        name, words = words[0], words[1:]
        if len(words) > 1 and words[0].upper() == "WITH":
            words = words[2:]
        return name in self.allow or family(name) in self.allow, words
