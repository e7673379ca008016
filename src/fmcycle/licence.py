"""Which licences may enter which mix: SPDX names, the families they belong to, and a policy over both.

A family says what a licence asks in general; it is no legal advice, and what a licence means for a trained model is not settled.
"""

import re
from dataclasses import dataclass, field

from fmcycle.error import InputError

FAMILIES = {  # the first that fits; names as in the SPDX License List, whatever their case
    "non-commercial": r".*-NC(-.*)?|PolyForm-Noncommercial-.*",
    "no-derivatives": r".*-ND(-.*)?",
    "public-domain": r"CC0-1\.0|PDDL-1\.0|Unlicense|CC-PDDC|CC-PDM-1\.0|LicenseRef-public-domain",
    "share-alike": r"CC-BY-SA-.*|A?L?GPL-.*|GFDL-.*|ODbL-.*|MPL-.*|EPL-.*|EUPL-.*|CDDL-.*|OSL-.*|CECILL-2.*|CDLA-Sharing-1\.0",
    "attribution": r"CC-BY-\d.*|ODC-By-1\.0|OGL-UK-.*|etalab-2\.0|CDLA-Permissive-1\.0",
    "permissive": r"MIT(-.*)?|MIT-0|Apache-.*|0?BSD(-.*)?|ISC|Zlib|PSF-.*|Python-.*|BSL-1\.0|Unicode-.*|W3C(-.*)?|NCSA|PostgreSQL|WTFPL"
    r"|HPND|CDLA-Permissive-2\.0|Artistic-2\.0|AFL-.*|X11|curl|OFL-.*",
}
UNKNOWN = "unknown"
WORDS = re.compile(r"\(|\)|[^\s()]+")


def family(name: str) -> str:
    """The family of one SPDX name; "unknown" for what is not in the list: `unknown` itself, LicenseRef-..., a misspelling."""
    plain = name.removesuffix("+")
    return next((kind for kind, form in FAMILIES.items() if re.fullmatch(form, plain, re.I)), UNKNOWN)


@dataclass
class Policy:
    """allow: families (public-domain, permissive, attribution, share-alike, no-derivatives, non-commercial, unknown) and single SPDX
    names. Of `A OR B` one must be allowed, of `A AND B` both; an exception behind WITH takes nothing away."""

    allow: list[str] = field(default_factory=lambda: ["public-domain", "permissive", "attribution", UNKNOWN])

    def __post_init__(self):
        for name in self.allow:
            if name not in (*FAMILIES, UNKNOWN) and family(name) == UNKNOWN and not name.startswith("LicenseRef-"):
                known = ", ".join((*FAMILIES, UNKNOWN))
                raise InputError(f"licence.allow: {name} is neither a family ({known}) nor an SPDX name that has one; correct it")

    def permits(self, expression: str) -> bool:
        """Whether text under this SPDX expression may enter."""
        return self._either(WORDS.findall(expression) or [UNKNOWN])[0]

    def _either(self, words: list[str]) -> tuple[bool, list[str]]:
        found, words = self._both(words)
        while words and words[0].upper() == "OR":
            other, words = self._both(words[1:])
            found = found or other
        return found, words

    def _both(self, words: list[str]) -> tuple[bool, list[str]]:
        found, words = self._one(words)
        while words and words[0] not in ("(", ")") and words[0].upper() != "OR":
            other, words = self._one(words[1:] if words[0].upper() == "AND" else words)
            found = found and other  # words side by side are no SPDX: all of them must be allowed
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
