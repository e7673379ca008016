"""Repair text that was decoded with the wrong encoding."""

import re

import polars as pl

# UTF-8 that was decoded as Windows-1252 or Latin-1: a lead byte's letter, then a continuation byte's sign. The second pattern is the
# same for Cyrillic decoded as Windows-1251. Correct texts match too: `mend` decides afterwards which are broken.
LATIN = "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
CYRILLIC = "[РС][\u0080-\u00bf\u0402-\u040f\u0451-\u045f\u0490\u0491\u2013-\u203a\u20ac\u2116\u2122]"
# Quotation marks and daggers inside words: in MS-DOS encodings these bytes are letters (dr\x84per is dräper, not dr„per)
CONTROL = re.compile("[\u0080-\u0084\u0086-\u009f]")
INSIDE = re.compile("[^\\W\\d_][\u201a\u201e\u201d\u2020\u2021\u2030][^\\W\\d_]")
SUSPICIOUS = f"{LATIN}|{CYRILLIC}|[\u0080-\u0084\u0086-\u009f]"


def repair(frame: pl.DataFrame) -> pl.DataFrame:
    """Repair mojibake in `text`: `donâ€™t` becomes `don’t`. Only texts that match SUSPICIOUS are examined.

    Entities, quotation marks, ligatures and widths are not changed; repairing twice changes nothing more. Source: Speer, ftfy (2019).
    """
    suspicious = frame["text"].str.contains(SUSPICIOUS).fill_null(False)
    if not suspicious.any():
        return frame
    mended = pl.Series([mend(text) for text in frame["text"].filter(suspicious)], dtype=pl.String)
    return frame.with_columns(text=frame["text"].clone().scatter(suspicious.arg_true(), mended))


def mend(text: str) -> str:
    """Repair each line of `text`; a line that is still broken afterwards was decoded with another encoding and is not changed."""
    import ftfy
    from ftfy.badness import is_bad

    plain = ftfy.TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        normalization=None,
        explain=False,
    )
    lines = text.split("\n")
    mended = [ftfy.fix_text(line, plain) for line in lines]
    letters = sum(len(INSIDE.findall(better)) - len(INSIDE.findall(line)) for line, better in zip(lines, mended, strict=True))
    other = 4 * letters > len(CONTROL.findall(text))
    stays = (is_bad(better) or (other and CONTROL.search(line)) for line, better in zip(lines, mended, strict=True))
    return "\n".join(line if stay else better for line, better, stay in zip(lines, mended, stays, strict=True))
