"""Toxic and unsafe content, found by words, by a classifier trained on examples, or by a model; each measures a share of the text."""

import functools
from collections.abc import Callable

import numpy as np
import polars as pl

from fmcycle.curation import linear, word
from fmcycle.model.inputs import batched, placed
from fmcycle.ranges import ExistingPath, Fraction, NonNegativeInt, PositiveInt

LETTERS = 4  # n-grams of letters: h4te, hte and "h a t e" still share some with "hate"
# Only words and phrases that hardly ever have another meaning. English; add other languages in the config.
TERMS = {
    "en": {
        "profanity": [
            "fuck(?:s|ed|er|ers|ing)?",
            "motherfuck(?:er|ers|ing)",
            "shit(?:ty|head)?",
            "bullshit",
            "asshole",
            "bitch(?:es)?",
            "cunts?",
        ],
        "sexual": [
            "porn",
            "pornhub",
            "blow-?jobs?",
            "hand-?jobs?",
            "cumshots?",
            "gang-?bang",
            "milfs?",
            "deepthroat",
            "horny",
            "dildos?",
        ],
        "slur": [
            "niggers?",
            "faggots?",
            "kikes?",
            "(?:you|these|those|dirty|filthy|fucking|bunch of) (?:spics?|chinks?)",
            "wetbacks?",
            "trann(?:y|ies)",
            "(?:you|a|like|these|those|all|fucking|of|many|total) retards?",
            "towelheads?",
        ],
        "threat": [
            "(?:go|go and|just|please|should) (?:kill|hang|shoot) yourself",  # not "rope enough to hang yourself"
            "i(?:'ll| will| am going to|'m going to) (?:kill|rape|murder|shoot|stab) (?:you|her|him|them)",
            "(?:deserves?|ought|need) to (?:die|be shot|be killed|be hanged|be raped)",
            "should (?:all )?be (?:shot|killed|exterminated|gassed|hanged)",
        ],
    }
}


def lexicon(
    frame: pl.DataFrame, *, max_share: Fraction = 0.01, min_count: PositiveInt = 2, terms: dict[str, dict[str, list[str]]] = TERMS
) -> pl.DataFrame:
    """Drop texts if more than `max_share` of their words, and at least `min_count`, are `terms`; `value`: the main category, the share.

    terms: patterns of whole words by language and category, in any case. A row is checked against the terms of its `language`, against all
    if its language is unknown. A novel with an oath in a chapter stays, as does a text with one; a text with little else is dropped.
    Ambiguous words are not in the list: "xxx" is also how removed names look.
    """
    named = {
        f"{category} ({language})": (language, f"(?:{'|'.join(names)})")
        for language, categories in terms.items()
        for category, names in categories.items()
    }
    text = pl.col("text")
    hints = [text.str.contains(f"(?i){pattern}").fill_null(False) for _, pattern in named.values()]
    places = frame.select(pl.any_horizontal(hints or pl.lit(False)).arg_true()).to_series()  # only texts with a match are counted
    known = pl.col("language").fill_null("und") if "language" in frame.columns else pl.lit("und")
    counts: dict[str, pl.Expr] = {"none": pl.lit(0, pl.UInt32)}
    for name, (language, pattern) in named.items():
        found = text.str.count_matches(rf"(?i)\b{pattern}\b")
        counts[name] = pl.when(known.is_in([language, "", "und"])).then(found).otherwise(0)
    counted = frame[places].select(pl.concat_list(counts.values()).alias("counts"), total=word.words(text))
    measured = counted.with_columns(hits=pl.col("counts").list.sum(), most=pl.col("counts").list.arg_max())
    share, kind = pl.col("hits") / pl.col("total"), pl.col("most").replace_strict(range(len(counts)), list(counts), return_dtype=pl.String)
    unsafe = pl.when((share > max_share) & (pl.col("hits") >= min_count))
    verdicts = measured.select(
        reason=unsafe.then(pl.lit("unsafe words")),
        rule=unsafe.then(pl.lit(f"share of unsafe words > {max_share}")),
        value=unsafe.then(pl.format("{} {}", kind, share.round(3))),
    )
    none = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    return frame.with_columns(none.scatter(places, verdicts[name]).alias(name) for name in verdicts.columns)


def classifier(
    frame: pl.DataFrame,
    *,
    toxic: list[ExistingPath | dict],
    safe: list[ExistingPath | dict],
    threshold: Fraction = 0.8,
    max_share: Fraction = 0.2,
    buckets: PositiveInt = 1 << 18,
    ngram: PositiveInt = 2,
    seed: NonNegativeInt = 0,
) -> pl.DataFrame:
    """Add `toxicity`, the share of a text's characters in lines that score above `threshold`; drop above `max_share`.

    toxic, safe: examples that `linear.examples` reads; the model is that of `learned.quality` and knows only what the examples show.
    """
    trained = linear.trained(toxic, safe, buckets=buckets, ngram=ngram, characters=2000, seed=seed, letters=LETTERS)
    return by_lines(frame, trained.score, threshold, max_share)


def model(
    frame: pl.DataFrame,
    *,
    folder: ExistingPath,
    label: str = "toxic",
    threshold: Fraction = 0.8,
    max_share: Fraction = 0.2,
    batch: PositiveInt = 32,
) -> pl.DataFrame:
    """Like `classifier`, with a transformers sequence classifier in `folder`: the score is the probability of its `label`."""
    return by_lines(frame, functools.partial(probability, folder=folder, label=label, batch=batch), threshold, max_share)


def by_lines(frame: pl.DataFrame, score: Callable[[pl.Series], np.ndarray], threshold: float, max_share: float) -> pl.DataFrame:
    """Add `toxicity` and the verdict; score: (lines) -> [0, 1]."""
    line = pl.col("line")
    lines = frame.select(place=pl.int_range(pl.len(), dtype=pl.UInt32), line=pl.col("text").str.split("\n")).explode("line")
    lines = lines.filter(line.str.contains(r"\p{L}"))
    lines = lines.with_columns(size=line.str.len_chars(), toxic=pl.Series(score(lines["line"]) > threshold, dtype=pl.Boolean))
    shares = lines.group_by("place").agg(toxicity=(pl.col("size") * pl.col("toxic")).sum() / pl.col("size").sum())
    judged = frame.with_row_index("place").join(shares, on="place", how="left", maintain_order="left").drop("place")
    judged = judged.with_columns(pl.col("toxicity").fill_null(0.0).round(4))
    unsafe = pl.when(pl.col("toxicity") > max_share)
    return judged.with_columns(
        reason=unsafe.then(pl.lit("toxic")),
        rule=unsafe.then(pl.lit(f"toxicity > {max_share}")),
        value=unsafe.then(pl.col("toxicity").cast(pl.String)),
    )


def probability(lines: pl.Series, *, folder: str, label: str, batch: int) -> np.ndarray:
    """The probability of `label` for each line, truncated to 256 tokens."""
    import torch

    tokenizer, network = loaded(folder)
    names = {str(name).lower(): place for place, name in network.config.id2label.items()}
    if label.lower() not in names:
        raise ValueError(f"{folder}: no label {label!r}; choose one of {', '.join(map(repr, sorted(names)))}")
    found = []
    for part in batched(lines, batch):
        read = tokenizer(part.to_list(), truncation=True, max_length=256, padding=True, return_tensors="pt")
        with torch.inference_mode():
            logits = network(**placed(network, dict(read))).logits.float()
            found.append(logits.softmax(-1)[:, int(names[label.lower()])].cpu().double().numpy())
    return np.concatenate(found) if found else np.array([])


@functools.cache
def loaded(folder: str):
    """(tokenizer, model) of a folder, loaded once a process, from local files only."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    kind = {"local_files_only": True, "trust_remote_code": False}
    return AutoTokenizer.from_pretrained(folder, **kind), AutoModelForSequenceClassification.from_pretrained(folder, **kind).eval()
