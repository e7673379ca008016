"""Which texts read like language: rules on counts, each a Polars expression."""

import polars as pl

from fmcycle.number import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt

STOP_WORDS = r"\b(?:the|be|to|of|and|that|have|with|is|a|in|for|or|this)\b"


def gopher(
    frame: pl.DataFrame,
    *,
    min_words: NonNegativeInt = 50,
    max_words: PositiveInt = 100_000,
    min_word_length: NonNegativeFloat = 3.0,
    max_word_length: NonNegativeFloat = 10.0,
    max_symbols: NonNegativeFloat = 0.1,
    max_bullets: Fraction = 0.9,
    max_ellipses: Fraction = 0.3,
    min_alphabetic: Fraction = 0.8,
    min_stop_words: NonNegativeInt = 2,
    max_repeated_lines: Fraction = 0.3,
) -> pl.DataFrame:
    """Drop by the document rules of Gopher; the first rule that a text breaks is its `rule`, the measured figure its `value`.

    Lengths in characters, shares of words or lines. Source: Rae et al., Gopher (2021), appendix A1.1.
    """
    text = pl.col("text")
    words = text.str.count_matches(r"\S+")
    lines = text.str.split("\n").list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))
    measured = frame.with_columns(
        words=words,
        word_length=text.str.replace_all(r"\s+", "").str.len_chars() / words,
        symbols=(text.str.count_matches("#") + text.str.count_matches(r"\.\.\.|…")) / words,
        alphabetic=text.str.count_matches(r"\S*\p{L}\S*") / words,
        stop_words=text.str.to_lowercase().str.count_matches(STOP_WORDS),
        bullets=lines.list.eval(pl.element().str.contains(r"^[-*•●]").cast(pl.Float64)).list.mean(),
        ellipses=lines.list.eval(pl.element().str.contains(r"(\.\.\.|…)$").cast(pl.Float64)).list.mean(),
        repeated_lines=1 - lines.list.n_unique() / lines.list.len(),
    )
    rules = [
        ("too short", "words", "<", min_words),
        ("too long", "words", ">", max_words),
        ("no stop words", "stop_words", "<", min_stop_words),
        ("words too short", "word_length", "<", min_word_length),
        ("words too long", "word_length", ">", max_word_length),
        ("many symbols", "symbols", ">", max_symbols),
        ("few letters", "alphabetic", "<", min_alphabetic),
        ("only list items", "bullets", ">", max_bullets),
        ("lines cut short", "ellipses", ">", max_ellipses),
        ("lines repeated", "repeated_lines", ">", max_repeated_lines),
    ]
    return judge(measured, rules).select(*frame.columns, "reason", "rule", "value")


def judge(frame: pl.DataFrame, rules: list[tuple[str, str, str, float]]) -> pl.DataFrame:
    """Add `reason`, `rule`, `value` of the first rule (reason, column, "<" or ">", bound) that a row breaks; null where none."""
    reason, rule, value = (pl.lit(None, pl.String) for _ in range(3))
    for why, column, sign, bound in reversed(rules):
        broken = pl.col(column) < bound if sign == "<" else pl.col(column) > bound
        reason = pl.when(broken).then(pl.lit(why)).otherwise(reason)
        rule = pl.when(broken).then(pl.lit(f"{column} {sign} {bound}")).otherwise(rule)
        value = pl.when(broken).then(pl.col(column).cast(pl.Float64).round(3).cast(pl.String)).otherwise(value)
    return frame.with_columns(reason=reason, rule=rule, value=value)
