"""What is a text and what is none, and how other values are written as one."""

import datetime
from decimal import Decimal

CONTROL = "".join(map(chr, [*range(8), *range(14, 32)]))
HALF = "half of a surrogate pair"
BOM = b"\xef\xbb\xbf"
SCALAR = (str, int, float, bool, Decimal, datetime.date)


def plain(value) -> str | None:
    """A scalar, or a list of scalars, as a string; None for anything else."""
    if isinstance(value, list) and all(isinstance(item, SCALAR) for item in value):
        return ", ".join(str(plain(item)) for item in value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, SCALAR) else None


def readable(value) -> tuple[str | None, str]:
    """(why it is no text, or None; the text)."""
    if isinstance(value, bytes):
        if b"\0" in value:
            return "binary", ""
        try:
            value = value.removeprefix(BOM).decode()
        except UnicodeDecodeError as error:
            return f"invalid UTF-8 at byte {error.start}", ""
    if not isinstance(value, str):
        return f"text is no string but {type(value).__name__}", ""
    if not encodable(value):
        return HALF, ""
    if not value.strip():
        return "empty", ""
    control = sum(map(value.count, CONTROL))
    return ("binary", "") if "\0" in value or control > len(value) / 10 else (None, value)


def encodable(value: str) -> bool:
    """Has `value` a form in UTF-8? Half of a surrogate pair has none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
