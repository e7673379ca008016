"""Which language a text is in."""

import functools

import polars as pl

from fmcycle.number import Fraction, PositiveInt

UNKNOWN, NONE = "und", "zxx"  # ISO 639: undetermined; no linguistic content


def identify(frame: pl.DataFrame, *, characters: PositiveInt = 500, min_confidence: Fraction = 0.5) -> pl.DataFrame:
    """Add `language` (ISO 639-1, or 639-3 where there is none) and `language_confidence`, from `characters` of the middle of each text.

    Less sure than `min_confidence` is "und". Rows of type code are "zxx": no language that people speak. The model knows 140 languages
    and takes any other for one of them, now and then with confidence. Source: Lui and Baldwin, langid.py (2012), as py3langid trained it.
    """
    size = pl.col("text").str.len_chars().cast(pl.Int64)
    middle = pl.max_horizontal(pl.lit(0, pl.Int64), (size - characters) // 2)
    samples = frame.select(pl.col("text").str.slice(middle, characters))["text"]
    spoken = (frame["type"] != "code").fill_null(True) if "type" in frame.columns else pl.Series([True]).new_from_index(0, frame.height)
    found = [model().classify(text) if wanted else (NONE, 1.0) for text, wanted in zip(samples, spoken, strict=True)]
    names = [name if confidence >= min_confidence else UNKNOWN for name, confidence in found]
    return frame.with_columns(
        language=pl.Series(names, dtype=pl.String), language_confidence=pl.Series([round(c, 3) for _, c in found], dtype=pl.Float64)
    )


def keep(frame: pl.DataFrame, *, languages: list[str], min_confidence: Fraction = 0.65) -> pl.DataFrame:
    """Drop texts that are in none of `languages`, or not surely; code stays. Texts without `language` are identified first.

    The bound is FineWeb's: Penedo et al., The FineWeb Datasets (2024), section 3.1.
    """
    if "language" not in frame.columns:
        frame = identify(frame, min_confidence=0.0)
    sure = pl.col("language_confidence") >= min_confidence
    wanted = pl.col("language").is_in([*languages, NONE])
    other = pl.when(~wanted.fill_null(False))
    unsure = pl.when(~sure.fill_null(False))
    return frame.with_columns(
        reason=other.then(pl.lit("another language")).otherwise(unsure.then(pl.lit("unsure language"))),
        rule=other.then(pl.lit(f"language in {', '.join(languages)}")).otherwise(
            unsure.then(pl.lit(f"language_confidence < {min_confidence}"))
        ),
        value=other.then("language").otherwise(unsure.then(pl.col("language_confidence").cast(pl.String))),
    )


@functools.cache
def model():
    """The classifier, read once a process (two seconds)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
