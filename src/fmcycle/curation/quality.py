"""Published quality rules on counts (Gopher, C4, FineWeb), as Polars expressions. `word` defines words, lines and sentences.

A rule whose figure is not defined for a text (no words, no lines) does not drop it. The rules are for prose: rows whose `type` is code or
table stay unchanged.
"""

import re

import numpy as np
import polars as pl

from fmcycle.curation import word
from fmcycle.curation.shingle import pieces
from fmcycle.ranges import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

STOP_WORDS = {"en": ["the", "be", "to", "of", "and", "that", "have", "with"]}
LINE_END = word.END[:-1] + r"\p{Pi}\p{Pf}」』\"']$"  # with closing quotation marks; German's is English's opening one
CLOSING = r"[\s\p{Pe}\p{Pi}\p{Pf}\"']*"
POLICIES = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]
NO_PROSE = ["code", "table"]
CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"


def gopher(
    frame: pl.DataFrame,
    *,
    min_words: NonNegativeInt = 50,
    max_words: PositiveInt = 100_000,
    min_word_length: NonNegativeFloat = 3.0,
    max_word_length: NonNegativeFloat = 10.0,
    max_hashes: NonNegativeFloat = 0.1,
    max_ellipses: NonNegativeFloat = 0.1,
    max_bullets: Fraction = 0.9,
    max_cut_lines: Fraction = 0.3,
    min_alphabetic: Fraction = 0.8,
    min_stop_words: NonNegativeInt = 2,
    stop_words: dict[str, list[str]] = STOP_WORDS,
    any_case: bool = True,
    other_languages: PositiveFloat = 2.0,
    bullets: str = "•●*-",
) -> pl.DataFrame:
    """Drop by the document rules of Gopher; the first rule that a text breaks is its `rule`, the measured figure its `value`.

    The first four rules count only words with a letter or digit. The length of words is not checked in syllabic scripts, and has
    `other_languages` times wider bounds for rows whose `language` has no stop words, as its bounds are for English. stop_words: by
    language; checked in rows whose `language` has a list, and in rows without `language`, by the best list; "und" and "zxx" are the
    labels of texts in rare languages. any_case: false, as in datatrove, drops texts in capitals.
    Source: Rae et al., Scaling Language Models: Gopher (2021), appendix A1.1.
    """
    text = pl.col("text")
    total, lines = pl.col("total"), word.lines(text)
    cut = text.str.count_matches(r"(?m)(?:\.\.\.|…)[^\S\n]*$")
    length = pl.col("characters") / pl.col("words")
    asked = pl.when(~length.is_between(min_word_length, max_word_length)).then(text)
    measured = frame.with_columns(counts(frame)).with_columns(
        word_length=pl.when(~word.mostly(asked, word.SYLLABIC)).then(length),
        hashes=text.str.count_matches("#", literal=True) / total,
        ellipses=text.str.count_matches(r"\.\.\.|…") / total,
        bullets=items(text, bullets) / lines if bullets else pl.lit(0.0),
        cut_lines=cut / lines,
        alphabetic=pl.col("lettered") / total,
        stop_words=stops(frame, stop_words, min_stop_words, "(?i)" if any_case else ""),
    )
    if "language" in frame.columns:
        length, other = pl.col("word_length"), ~pl.col("language").fill_null("").is_in(["", "und", "zxx", *stop_words])
        wide = length.is_between(min_word_length / other_languages, max_word_length * other_languages)
        measured = measured.with_columns(word_length=pl.when(~(other & wide)).then(length))
    rules = [
        ("too short", "words", "<", min_words),
        ("too long", "words", ">", max_words),
        ("words too short", "word_length", "<", min_word_length),
        ("words too long", "word_length", ">", max_word_length),
        ("many hashes", "hashes", ">", max_hashes),
        ("many ellipses", "ellipses", ">", max_ellipses),
        ("only list items", "bullets", ">", max_bullets),
        ("lines cut short", "cut_lines", ">", max_cut_lines),
        ("few letters", "alphabetic", "<", min_alphabetic),
        ("no stop words", "stop_words", "<", min_stop_words),
    ]
    return frame.with_columns(judge(measured, rules).select("reason", "rule", "value"))  # a column named as a figure stays


def counts(frame: pl.DataFrame) -> pl.DataFrame:
    """Counts for each text: `lettered` words; `total`, which adds the runs of other signs; `words`, which adds only the runs with a digit,
    and their `characters`."""
    found = [_counts(word.cut(piece["text"])) for piece in pieces(frame)]
    return pl.concat(found) if found else pl.DataFrame(schema=dict.fromkeys(("lettered", "total", "words", "characters"), pl.Int64))


def _counts(found: word.Words) -> pl.DataFrame:
    lettered = (found.kind & word.LETTER) != 0
    runs = np.flatnonzero(~lettered)
    after = (found.begin[runs[1:]] == found.end[runs[:-1]]) & (runs[1:] == runs[:-1] + 1)  # adjacent words without a letter are one run
    first = np.flatnonzero(np.concatenate([[True], ~after])) if len(runs) else runs
    number = np.zeros(len(lettered), bool)
    number[runs[first]] = (np.bitwise_or.reduceat(found.kind[runs], first) & word.NUMBER) != 0 if len(runs) else False
    length = np.where(lettered, found.length, 0)
    length[runs[first]] = np.add.reduceat(found.length[runs], first) * number[runs[first]] if len(runs) else 0
    new = lettered.copy()
    new[runs[first]] = True
    figures = {"lettered": lettered, "total": new, "words": lettered | number, "characters": length}
    return pl.DataFrame({name: found.each(figure) for name, figure in figures.items()})


def items(text: pl.Expr, bullets: str) -> pl.Expr:
    """Number of lines that begin with exactly one of `bullets`; two are a dash ("-- No, said he"), a rule or bold type."""
    sign = re.escape(bullets)
    begin = rf"[^\S\n]*[{sign}](?:[^{sign}\n]|(?m:$))"
    return text.str.count_matches("\n" + begin) + text.str.contains("^" + begin).cast(pl.UInt32)


def stops(frame: pl.DataFrame, lists: dict[str, list[str]], enough: int, case: str) -> pl.Series:
    """Number of different stop words in a text, counted up to `enough`, from its language's list; from the best list if the row has no
    language; null if its language has no list."""
    language = frame["language"].fill_null("") if "language" in frame.columns else pl.Series([""]).new_from_index(0, frame.height)
    unknown = (language == "").to_numpy()
    found = np.zeros(frame.height, np.int64)
    for name, words in lists.items():
        asked = np.flatnonzero(unknown | (language == name).to_numpy())
        own = np.zeros(frame.height, np.int64)
        for stop in dict.fromkeys(words):
            own[asked] += frame["text"].gather(asked).str.contains(rf"{case}(?:^|\s){re.escape(stop)}(?:\s|$)").to_numpy()
            asked = asked[own[asked] < enough]
        np.maximum(found, own, out=found)
    has = unknown if lists else np.zeros(frame.height, bool)
    return pl.Series(found).zip_with(pl.Series(has | language.is_in(list(lists)).to_numpy()), pl.Series([None], dtype=pl.Int64))


def c4(
    frame: pl.DataFrame,
    *,
    min_sentences: NonNegativeInt = 5,
    min_line_words: NonNegativeInt = 3,
    max_word_length: PositiveInt = 1000,
    ends: list[str] | None = None,
    line_words: list[str] = ["javascript", *POLICIES],  # noqa: B006 (never written)
    document_words: list[str] = ["lorem ipsum", "{"],  # noqa: B006
    remove_citations: bool = True,
) -> pl.DataFrame:
    """Keep of `text` the lines that C4 keeps; drop a text with one of `document_words` in such a line, or too few sentences left.

    A line stays if it ends in one of `ends` but not in "...", has `min_line_words` words, none longer than `max_word_length`, and none of
    `line_words`. ends: null is every script's end of a sentence or quotation (lines in Thai and Lao need none), [] is no condition.
    Wikipedia's "[1]" and "[edit]" are removed. A dropped text is not changed.
    Source: Raffel et al., Exploring the Limits of Transfer Learning (2020), section 2.2, and its code in TensorFlow Datasets (c4_utils).
    """
    line = pl.col("line")
    parts = (
        lines(frame).filter(pl.col("words") >= min_line_words, pl.col("longest") <= max_word_length).with_columns(line.str.strip_chars())
    )
    if remove_citations:
        parts = parts.with_columns(uncited(line))
    if ends is None or ends:
        other = pl.when(line.str.len_bytes() > line.str.len_chars()).then(line)  # plain ASCII has no such letters
        ended = line.str.contains(LINE_END) | other.str.contains(word.UNENDED).fill_null(False)
        ended = ended if ends is None else pl.any_horizontal(line.str.ends_with(end) for end in ends)
        parts = parts.filter(ended & ~line.str.ends_with("..."))
    parts = marked(parts, suspects(frame, [*document_words, *line_words], remove_citations), document_words, line_words)
    # a line has at least one sentence: count sentences only if the number of lines does not decide
    parts = parts.with_columns(sentences=(line.str.strip_chars() != "").cast(pl.UInt32))
    few = pl.when(pl.col("sentences").sum().over("place") < min_sentences).then(line)
    parts = parts.with_columns(sentences=pl.coalesce(few.str.count_matches(word.SENTENCE), "sentences"))
    found = parts.group_by("place", maintain_order=True).agg(
        line.str.join("\n").alias("kept"), pl.col("sentences").sum(), pl.col("wrong").drop_nulls().first()
    )
    judged = (
        frame.with_row_index("place")
        .join(found, on="place", how="left", maintain_order="left")
        .with_columns(pl.col("sentences").fill_null(0), pl.col("kept").fill_null(""))
    )
    judged = judge(judged, [("too few sentences", "sentences", "<", min_sentences)])
    bad = pl.col("wrong").is_not_null() & prose(frame)
    judged = judged.with_columns(
        reason=pl.when(bad).then(pl.lit("placeholder or code")).otherwise("reason"),
        rule=pl.when(bad).then(pl.lit("a line has one of document_words")).otherwise("rule"),
        value=pl.when(bad).then("wrong").otherwise("value"),
    ).with_columns(text=pl.when(pl.col("reason").is_null() & prose(frame)).then(pl.col("kept").str.strip_chars()).otherwise("text"))
    return judged.select(*frame.columns, "reason", "rule", "value")


def lines(frame: pl.DataFrame) -> pl.DataFrame:
    """One row a line of each text: `place` of the text, `line`, number of `words`, characters of the `longest` run without a blank."""
    parts = frame.select(place=pl.int_range(pl.len(), dtype=pl.UInt32), line=pl.col("text").str.split("\n")).explode("line")
    found = [pl.DataFrame(word.cut(piece["text"]).lines(), schema=["words", "longest"]) for piece in pieces(frame)]
    return pl.concat([parts, pl.concat(found)], how="horizontal") if found else parts.with_columns(words=0, longest=0)


def uncited(text: pl.Expr) -> pl.Expr:
    """The text without Wikipedia's citation marks."""
    return pl.coalesce(pl.when(text.str.contains("[", literal=True)).then(text).str.replace_all(CITATION, ""), text)


def suspects(frame: pl.DataFrame, names: list[str], remove_citations: bool) -> pl.Series:
    """Which texts may have a line with one of `names`: whole texts are searched for one word at a time, the fastest way."""
    text = pl.col("text")
    low = frame.select((uncited(text) if remove_citations else text).str.to_lowercase())["text"]
    found = low.is_null()
    for name in names:
        found |= low.str.contains(name, literal=True)
    return found


def marked(parts: pl.DataFrame, suspect: pl.Series, document_words: list[str], line_words: list[str]) -> pl.DataFrame:
    """Add `wrong`, the first of `document_words` in a line; remove the lines without any that have one of `line_words`."""
    low = pl.col("low")
    parts = parts.with_row_index("number")
    some = parts.filter(suspect.gather(parts["place"])).select("number", low=pl.col("line").str.to_lowercase())
    named = (pl.when(low.str.contains(name, literal=True)).then(pl.lit(name)) for name in document_words)
    some = some.with_columns(
        wrong=pl.coalesce(*named, pl.lit(None, pl.String)), bad=low.str.contains_any(line_words) if line_words else False
    )
    wrong = some.filter(pl.col("wrong").is_not_null()).select("number", "wrong")
    bad = some.filter(pl.col("wrong").is_null(), pl.col("bad")).select("number")
    return parts.join(bad, on="number", how="anti", maintain_order="left").join(wrong, on="number", how="left", maintain_order="left")


def fineweb(
    frame: pl.DataFrame,
    *,
    min_ended_lines: Fraction = 0.12,
    max_short_lines: Fraction = 0.67,
    short_line: NonNegativeInt = 30,
    max_repeated_characters: Fraction = 0.1,
    max_line_breaks: NonNegativeFloat = 0.3,
    closing_marks: bool = True,
) -> pl.DataFrame:
    """Drop by FineWeb's own rules: shares of lines that end a sentence, are short, are repeated; line breaks per word.

    short_line: in characters; blank lines are not counted. Unicode defines the ends of sentences in any script; Thai and Lao, which have
    none, are not checked. closing_marks: a line may end in the quotation mark behind the end; false, as in datatrove, does not count such
    a line. A gap of several blank lines counts as one (datatrove counts each), since prose keeps two. Source: Penedo et al., The FineWeb
    Datasets (2024), section 3.6 (its released code has 0.01 for the characters of repeated lines, and the rule on line breaks).
    """
    text, line = pl.col("text"), pl.col("line")
    parts = lines(frame).filter(pl.col("words") > 0)
    parts = parts.with_columns(size=line.str.len_chars(), first=(line.hash(0) ^ pl.col("place").hash(1)).is_first_distinct())
    shares = parts.group_by("place").agg(
        line.str.contains(word.END + (CLOSING if closing_marks else "") + "$").mean().alias("ended_lines"),
        (pl.col("size") <= short_line).mean().alias("short_lines"),
        pl.col("size").filter(~pl.col("first")).sum().alias("repeated"),
        pl.col("words").sum(),
    )
    breaks = text.str.count_matches("\n", literal=True)
    measured = frame.select("text", "^type$").with_row_index("place").join(shares, on="place", how="left", maintain_order="left")
    asked = pl.when(pl.col("ended_lines") < min_ended_lines).then(text)
    measured = measured.with_columns(
        ended_lines=pl.when(~word.mostly(asked, word.UNENDED)).then("ended_lines"),
        repeated_characters=pl.col("repeated") / (text.str.len_chars() - breaks),
        line_breaks=(text.str.count_matches("\n+") + text.str.count_matches("\n\n+")) / pl.col("words").fill_null(0),
    )
    rules = [
        ("lines without an end", "ended_lines", "<", min_ended_lines),
        ("short lines", "short_lines", ">", max_short_lines),
        ("lines repeated", "repeated_characters", ">", max_repeated_characters),
        ("many line breaks", "line_breaks", ">", max_line_breaks),
    ]
    return frame.with_columns(judge(measured, rules).select("reason", "rule", "value"))  # a column named as a figure stays


def prose(frame: pl.DataFrame) -> pl.Expr:
    """True for rows of prose, for which these rules are made."""
    return ~pl.col("type").fill_null("text").is_in(NO_PROSE) if "type" in frame.columns else pl.lit(True)


def judge(frame: pl.DataFrame, rules: list[tuple[str, str, str, float]]) -> pl.DataFrame:
    """Add `reason`, `rule`, `value` of the first rule (reason, column, "<" or ">", bound) that a row breaks; null if it breaks none."""
    reason, rule, value = (pl.lit(None, pl.String) for _ in range(3))
    for why, column, sign, bound in reversed(rules):
        figure = pl.col(column).cast(pl.Float64).fill_nan(None)
        broken = (figure < bound if sign == "<" else figure > bound) & prose(frame)
        reason = pl.when(broken).then(pl.lit(why)).otherwise(reason)
        rule = pl.when(broken).then(pl.lit(f"{column} {sign} {bound}")).otherwise(rule)
        value = pl.when(broken).then(figure.round(3).cast(pl.String)).otherwise(value)
    return frame.with_columns(reason=reason, rule=rule, value=value)
