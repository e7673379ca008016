"""The form of a text: one Unicode form, one kind of line end, no invisible characters."""

import polars as pl

INVISIBLE = "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"


def normalize(frame: pl.DataFrame) -> pl.DataFrame:
    """`text` in Unicode form C, with "\\n" line ends, without invisible and control characters, trailing blanks and long gaps.

    Characters keep their meaning: form KC would make 2⁵ into 25. A normalised text normalises to itself.
    """
    text = (
        pl.col("text")
        .str.replace_all("\r\n?|\u2028|\u2029|\u0085", "\n")
        .str.replace_all(INVISIBLE, "")
        .str.normalize("NFC")
        .str.replace_all("\u00a0", " ", literal=True)
        .str.replace_all(r"[ \t]+\n", "\n")
        .str.replace_all(r"\n{3,}", "\n\n")
        .str.strip_chars()
    )
    return frame.with_columns(text)
