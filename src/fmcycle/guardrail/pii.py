"""Masks personal data in answers: e-mail addresses, phone, card, account and identity numbers, keys."""

import re
from dataclasses import dataclass, field
from typing import Literal

from fmcycle.pii import detect

END = re.compile(r"-----END [A-Z ]{0,50}-----")
# Words after which a span with blanks may continue: they end in a digit or a parenthesis, or are capitals of an account number.
# Private keys span lines; no other kind spans white space (`fmcycle.pii.detect`).
BEGIN = re.compile(r"\S*[\d)+]|[A-Z0-9]{1,8}")


@dataclass
class Mask:
    """(text) -> text with each span replaced by its kind, such as <email>, as in curation; a masked text masks to itself.

    The default leaves out network addresses, which are common in documentation.
    """

    kinds: list[Literal["key", "email", "iban", "card", "national_id", "phone", "ip"]] = field(
        default_factory=lambda: ["key", "email", "iban", "card", "national_id", "phone"]
    )

    def __post_init__(self):
        wanted = {name for kind in self.kinds for name in detect.rules(kind)}
        self.names = [name for name in detect.RULES if name in wanted]

    def __call__(self, text: str) -> str:
        return detect.replace(text, self.names, lambda kind, span: f"<{kind}>")

    def hold(self, text: str) -> int:
        """Return how many characters at the end of `text` may begin a span that continues; a stream holds them back."""
        start = _word_start(text, len(text))
        while start > 1 and text[start - 1] == " " and BEGIN.fullmatch(text, _word_start(text, start - 1), start - 1):
            start = _word_start(text, start - 1)
        opened = text.rfind("-----BEGIN")
        if opened >= 0 and not END.search(text, opened, start):
            start = min(start, opened)
        return len(text) - start


def _word_start(text: str, end: int) -> int:
    while end > 0 and not text[end - 1].isspace():
        end -= 1
    return end


def example() -> dict:
    """A text with an e-mail address."""
    return {"text": "Write to jane.doe@example.com and she will answer."}
