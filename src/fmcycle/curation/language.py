"""Identify the language of texts."""

import functools
import itertools
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from fmcycle.ranges import Fraction, PositiveInt

UNKNOWN, NONE = "und", "zxx"  # ISO 639: undetermined; no linguistic content
DOUBT, SURE = 0.5, 0.9  # a first result below DOUBT is replaced by a second one of at least SURE
TOGETHER, LETTERS = 1 << 10, 1 << 21  # texts of a batch, and their bytes: the n-grams of more don't fit into the processor's cache


def identify(frame: pl.DataFrame, *, characters: PositiveInt = 500, min_confidence: Fraction = 0.5) -> pl.DataFrame:
    """Add `language` (ISO 639-1, or 639-3 if that has no code) and `language_confidence`, from `characters` of the middle of each text.

    A text below `min_confidence` gets "und". If the middle is not enough (a table, capitals), the letters of four times as much text are
    classified in lower case. Rows of type code get "zxx", no linguistic content. The model knows 140 languages and takes any other for
    one of them, sometimes with high confidence. Source: Lui and Baldwin, langid.py (2012), trained by py3langid.
    """
    samples = frame.select(middle(pl.col("text"), characters))["text"]
    spoken = (frame["type"] != "code").fill_null(True) if "type" in frame.columns else pl.repeat(True, frame.height, eager=True)
    language, sure = classify(samples.filter(spoken).to_list())
    unsure = np.flatnonzero(sure < DOUBT)
    letters = middle(pl.col("text"), 4 * characters).str.replace_all(r"[^\p{L}\p{M}]+", " ").str.to_lowercase()
    other, surer = classify(frame.filter(spoken)[unsure].select(middle(letters, characters))["text"].to_list())
    better = unsure[surer >= SURE]
    language[better], sure[better] = other[surer >= SURE], surer[surer >= SURE]
    names = np.full(frame.height, NONE, dtype=object)
    confidence = np.ones(frame.height)
    names[spoken.to_numpy()], confidence[spoken.to_numpy()] = language, sure
    names[confidence < min_confidence] = UNKNOWN
    return frame.with_columns(
        language=pl.Series(names.tolist(), dtype=pl.String), language_confidence=pl.Series(confidence.round(3), dtype=pl.Float64)
    )


def middle(text: pl.Expr, characters: int) -> pl.Expr:
    """The middle of each text."""
    size = text.str.len_chars().cast(pl.Int64)
    return text.str.slice(pl.max_horizontal(pl.lit(0, pl.Int64), (size - characters) // 2), characters)


def keep(frame: pl.DataFrame, *, languages: list[str], min_confidence: Fraction = 0.65) -> pl.DataFrame:
    """Drop texts in other languages than `languages`, or below `min_confidence`; rows of type code stay. Adds a missing `language` first.

    The default of `min_confidence` is FineWeb's: Penedo et al., The FineWeb Datasets (2024), section 3.1.
    """
    if "language" not in frame.columns:
        frame = identify(frame, min_confidence=0.0)
    code = (pl.col("type") == "code").fill_null(False) if "type" in frame.columns else pl.lit(False)
    sure = pl.col("language_confidence") >= min_confidence
    wanted = pl.col("language").is_in(languages)
    other = pl.when(~(wanted.fill_null(False) | code))
    unsure = pl.when(~(sure.fill_null(False) | code))
    return frame.with_columns(
        reason=other.then(pl.lit("another language")).otherwise(unsure.then(pl.lit("unsure language"))),
        rule=other.then(pl.lit(f"language in {', '.join(languages)}")).otherwise(
            unsure.then(pl.lit(f"language_confidence < {min_confidence}"))
        ),
        value=other.then("language").otherwise(unsure.then(pl.col("language_confidence").cast(pl.String))),
    )


def classify(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(labels, confidences) of texts, equal to py3langid's `classify`, but all texts take each step of its automaton at once."""
    known = model()
    folded = [unicodedata.normalize("NFC", text.lower() if text.isupper() else text) for text in texts]
    encoded = [text.encode("utf8", errors="surrogatepass") for text in folded]
    size = np.fromiter(map(len, encoded), np.intp, len(texts))
    scores = np.zeros((len(texts), len(known.label)), np.float32)
    left = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]  # an empty text keeps equal scores
    while len(left):
        some, left = np.split(left, [max(1, min(TOGETHER, LETTERS // size[left[0]]))])
        for text, feature, count in ngrams([encoded[place] for place in some], size[some]):
            scores[some[text]] = np.log1p(count) @ known.weight.take(feature, axis=0) + known.prior
    scores /= np.sqrt(np.maximum(size, 1), dtype=np.float32)[:, None]  # length alone doesn't raise the confidence
    np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    for label, other in known.alias:
        scores[:, label] += scores[:, other]
        scores[:, other] = 0
    best = scores.argmax(axis=1)
    return np.array(known.label, dtype=object)[best], scores[np.arange(len(texts)), best]


def ngrams(texts: list[bytes], size: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(index of a text, numbers of its n-grams in the model, float32 counts) of texts sorted from long to short, if they have any."""
    base, move, found, weight = model()[:4]
    longest, features = int(size[0]), len(weight)
    letters = np.frombuffer(b"".join(text.ljust(longest, b"\0") for text in texts), np.uint8).reshape(-1, longest).T.astype(np.intp)
    states = np.zeros(letters.shape, np.int32)  # behind a text's end: the first state, which ends no n-gram
    state = states[0].astype(np.intp)
    for place, active in enumerate(np.searchsorted(-size, -np.arange(longest))):
        state = move.take(base.take(state[:active]) + letters[place, :active])
        states[place, :active] = state
    feature = found.take(states)
    visits = (feature + np.arange(len(texts), dtype=np.int32) * features)[feature >= 0]
    visits.sort()
    first = np.flatnonzero(np.diff(visits, prepend=-1))
    count = np.diff(first, append=len(visits)).astype(np.float32)
    text, feature = np.divmod(visits[first], features)
    ends = np.searchsorted(text, np.arange(len(texts) + 1))
    for place, (begin, end) in enumerate(itertools.pairwise(ends)):
        if begin < end:
            yield place, feature[begin:end], count[begin:end]


class Model(NamedTuple):
    """The parts of py3langid's classifier that `classify` uses; the rest is not kept in memory."""

    base: np.ndarray  # for a state: the start of its row in `move`
    move: np.ndarray  # for a row and a byte: the next state
    found: np.ndarray  # for a state: the n-gram that ends in it, or -1
    weight: np.ndarray  # float32 (n-grams, classes): log-probabilities
    prior: np.ndarray
    label: list[str]  # for a class
    alias: list[tuple[int, int]]  # two classes of one label, by script


@functools.cache
def model() -> Model:
    """The classifier, read once a process (a second)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    read = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    base, found = np.array(read.tk_row, np.intp) << 8, np.array(read.tk_output, np.int32)
    return Model(base, np.asarray(read.tk_nextmove), found, read.nb_ptc.astype(np.float32), read.nb_pc, read.nb_classes, read._alias_pairs)
