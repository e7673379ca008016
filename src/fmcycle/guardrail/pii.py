"""Mask personal data in what the model says: e-mail addresses, phone and card numbers, keys."""

import re
from dataclasses import dataclass, field
from typing import Literal

# Bounded everywhere, so that a hostile text costs linear time. `Mask.hold` relies on this: phone and card numbers span single
# blanks, after a digit or a closing parenthesis; private keys span lines; nothing else spans white space.
PATTERNS = {
    "key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)"
    r"|(?<!\w)(?:(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,30}|gh[pousr]_[A-Za-z0-9]{20,99}|(?:sk|pk)-[A-Za-z0-9_-]{16,199}"
    r"|AIza[A-Za-z0-9_-]{30,60}|xox[abprs]-[A-Za-z0-9-]{10,99}|eyJ[A-Za-z0-9_-]{10,999}(?:\.[A-Za-z0-9_-]{5,999}){2})(?![A-Za-z0-9])",
    "email": r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![\w-])",
    "card": r"(?<![\d.-])(?:\d[ -]?){12,18}\d(?!\d)",
    "phone": r"(?<![\w.+-])(?:\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){1,4}[ .-]?\d{2,4}|\(\d{2,4}\) ?\d{3,4}[ .-]\d{3,4}"
    r"|\d{3}[.-]\d{3,4}[.-]\d{4})(?!\w)",
}


@dataclass
class Mask:
    """(text) -> text with each span replaced by its kind, like <email>, as curation writes it; a masked text masks to itself."""

    kinds: list[Literal["key", "email", "card", "phone"]] = field(default_factory=lambda: ["key", "email", "card", "phone"])

    def __post_init__(self):
        self.patterns = [(kind, re.compile(PATTERNS[kind])) for kind in self.kinds]

    def __call__(self, text: str) -> str:
        for kind, pattern in self.patterns:
            text = pattern.sub(_mask_card if kind == "card" else f"<{kind}>", text)
        return text

    def hold(self, text: str) -> int:
        """How many characters at the end of `text` may become part of a span with what follows: a stream keeps them back."""
        start = _word_start(text, len(text))
        while start > 1 and text[start - 1] == " " and (text[start - 2].isdigit() or text[start - 2] == ")"):
            start = _word_start(text, start - 1)
        opened = text.rfind("-----BEGIN")
        if opened >= 0 and "-----END" not in text[opened:start]:
            start = min(start, opened)
        return len(text) - start


def _mask_card(match: re.Match) -> str:
    return "<card>" if luhn(match[0]) else match[0]


def luhn(digits: str) -> bool:
    """Does the check digit of a card number fit? Source: ISO/IEC 7812-1."""
    numbers = [int(digit) for digit in digits if digit.isdigit()][::-1]
    return sum(number if place % 2 == 0 else sum(divmod(2 * number, 10)) for place, number in enumerate(numbers)) % 10 == 0


def _word_start(text: str, end: int) -> int:
    while end > 0 and not text[end - 1].isspace():
        end -= 1
    return end
