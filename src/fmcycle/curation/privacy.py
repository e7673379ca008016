"""Personal data and secrets out of a text: e-mail addresses, phone and card numbers, keys."""

import re

import polars as pl

EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
PHONE = r"(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){2,4}|(?:\b1[-. ])?(?:\(\d{3}\) ?|\b\d{3}[-.])\d{3}[-. ]\d{4})\b"
DIGITS = r"\d(?:[ -]?\d){12,18}"
# As cards are written: in one run or in their own groups, with an issuer's first digits; not the decimals of 0.6666666666666667
CARD = re.compile(
    r"(?<![\w.-])(?=3[0-8]|4|5[1-5]|2[2-7]|6)(?:\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19})(?![\w-]|\.\d)"
)
KEY = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"
    r"|\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b|\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bsk-[A-Za-z0-9_-]{20,}\b|\bAIza[A-Za-z0-9_-]{30,}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"
)
SECRET = r"(?i)((?:secret|token|password|passwd|api[_-]?key)[\"']?\s*[:=]\s*[\"']?)[A-Za-z0-9/+_-]{24,}={0,2}"


def mask(frame: pl.DataFrame) -> pl.DataFrame:
    """Put <email>, <phone>, <card> and <key> where `text` has one; card numbers are those that pass Luhn's check.

    A masked text masks to itself. Left out: names, postal addresses, and national numbers.
    """
    text = pl.col("text").str.replace_all(KEY, "<key>").str.replace_all(SECRET, "${1}<key>").str.replace_all(EMAIL, "<email>")
    frame = frame.with_columns(text)
    # only the few texts with a long run of digits go through Python
    suspect = frame["text"].str.contains(DIGITS)
    if suspect.any():
        cards = pl.col("text").map_elements(mask_cards, return_dtype=pl.String)
        frame = frame.with_columns(pl.when(pl.Series(suspect)).then(cards).otherwise(pl.col("text")).alias("text"))
    return frame.with_columns(pl.col("text").str.replace_all(PHONE, "<phone>"))


def mask_cards(text: str) -> str:
    """<card> for each card number in `text` that passes Luhn's check."""
    return CARD.sub(lambda found: "<card>" if luhn(found[0]) else found[0], text)


def luhn(number: str) -> bool:
    """Does the last digit check the others? All zeros, and one digit repeated, are no card."""
    digits = [int(digit) for digit in number if digit.isdigit()][::-1]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return total % 10 == 0 and len(set(digits)) > 1
