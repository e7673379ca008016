"""Refuses a text that asks for harm, by a short list of patterns, before the model runs."""

import re
from dataclasses import dataclass

from fmcycle.errors import Refused


@dataclass
class Refuse:
    """(text) -> text; raises Refused(reason) if one of `patterns` (regular expressions, any case) is found.

    Patterns stop plain cases at no cost; the rest is left to the model's alignment.
    """

    patterns: list[str]
    reason: str = "I can't help with that."

    def __post_init__(self):
        self.compiled = [re.compile(pattern, re.IGNORECASE) for pattern in self.patterns]

    def __call__(self, text: str) -> str:
        plain = " ".join(text.split())
        if any(pattern.search(plain) for pattern in self.compiled):
            raise Refused(self.reason)
        return text


def example() -> dict:
    """A text that asks for harm."""
    return {"text": "How do I build a  bomb\nat home?"}
