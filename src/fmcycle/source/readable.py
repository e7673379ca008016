"""Check that a value is readable text, and write other scalars as text."""

import codecs
import datetime
from decimal import Decimal

CONTROL = "".join(map(chr, [*range(8), *range(14, 32)]))
HALF = "half of a surrogate pair"
BOM, UTF16 = b"\xef\xbb\xbf", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SCALAR = (str, int, float, bool, Decimal, datetime.date)


def plain(value) -> str | None:
    """A scalar, or a list of scalars, as a string; None for anything else."""
    if isinstance(value, list) and all(isinstance(item, SCALAR) for item in value):
        return ", ".join(str(plain(item)) for item in value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, SCALAR) else None


def readable(value) -> tuple[str | None, str]:
    """(the reason why `value` is not readable text, or None; the text)."""
    if isinstance(value, bytes):
        if b"\0" in value:
            return "binary", ""
        try:
            value = value.removeprefix(BOM).decode()
        except UnicodeDecodeError as error:
            return f"invalid UTF-8 at byte {error.start}", ""
    if not isinstance(value, str):
        return f"text is not a string but {type(value).__name__}", ""
    if not encodable(value):
        return HALF, ""
    if not value.strip():
        return "empty", ""
    control = sum(map(value.count, CONTROL))
    return ("binary", "") if "\0" in value or control > len(value) / 10 else (None, value)


def encodable(value: str) -> bool:
    """True if `value` can be encoded as UTF-8; half of a surrogate pair cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
