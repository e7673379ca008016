"""Normalize texts: one Unicode form, one kind of line end, no invisible characters."""

import polars as pl

INVISIBLE = "[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"

# Joiners part and join letters in Persian, Hindi, Malayalam and others, and emoji; between other characters they have no meaning
JOINER = "[\u200c\u200d]"
NO_JOINING = r"[\s\x00-\x7f\p{Latin}\p{Greek}\p{Cyrillic}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"


KEPT = ("code", "table", "markdown")  # types of rows in which blanks mean something


def normalize(frame: pl.DataFrame) -> pl.DataFrame:
    """Normalize `text`: Unicode form C, "\\n" line ends, no invisible or control characters, no empty lines at its ends; in prose also no
    blanks at the end of a line and no gaps of more than two empty lines. Rows of type code, table and markdown, and conversations, which
    have no type, keep these blanks and gaps; all rows keep the blanks before their first word.

    Characters keep their meaning: form KC would turn 2⁵ into 25, and Persian without its joiners is misspelt. Normalizing twice changes
    nothing more.
    """
    plain = pl.col("text").str.replace_all("\r\n?|\u2028|\u2029|\u0085", "\n").str.replace_all(INVISIBLE, "").str.normalize("NFC")
    frame = frame.with_columns(text=plain)
    some = pl.when(pl.col("text").str.contains(JOINER)).then("text")
    bare = some.str.replace_all(f"(^|{NO_JOINING}){JOINER}+", "$1").str.replace_all(rf"{JOINER}+(\s|$)", "$1").str.normalize("NFC")
    whole = pl.coalesce(bare, "text").str.replace(r"\A(?:\s*\n)+", "").str.strip_chars_end()
    if "type" not in frame.columns:
        return frame.with_columns(whole)
    prose = whole.str.replace_all("\u00a0", " ", literal=True).str.replace_all(r"[ \t]+\n", "\n").str.replace_all(r"\n{4,}", "\n\n\n")
    return frame.with_columns(pl.when(pl.col("type").is_in(KEPT)).then(whole).otherwise(prose))
