"""Which language a text is in."""

import functools
import itertools
import unicodedata
from collections.abc import Iterator

import numpy as np
import polars as pl

from fmcycle.number import Fraction, PositiveInt

UNKNOWN, NONE = "und", "zxx"  # ISO 639: undetermined; no linguistic content
TOGETHER = 1024  # texts: more of them and their n-grams leave the processor's cache


def identify(frame: pl.DataFrame, *, characters: PositiveInt = 500, min_confidence: Fraction = 0.5) -> pl.DataFrame:
    """Add `language` (ISO 639-1, or 639-3 where there is none) and `language_confidence`, from `characters` of the middle of each text.

    Less sure than `min_confidence` is "und". Rows of type code are "zxx": no language that people speak. The model knows 140 languages
    and takes any other for one of them, now and then with confidence. Source: Lui and Baldwin, langid.py (2012), as py3langid trained it.
    """
    size = pl.col("text").str.len_chars().cast(pl.Int64)
    middle = pl.max_horizontal(pl.lit(0, pl.Int64), (size - characters) // 2)
    samples = frame.select(pl.col("text").str.slice(middle, characters))["text"]
    spoken = (frame["type"] != "code").fill_null(True) if "type" in frame.columns else pl.repeat(True, frame.height, eager=True)
    language, sure = classify(samples.filter(spoken).to_list())
    names = np.full(frame.height, NONE, dtype=object)
    confidence = np.ones(frame.height)
    names[spoken.to_numpy()], confidence[spoken.to_numpy()] = language, sure
    names[confidence < min_confidence] = UNKNOWN
    return frame.with_columns(
        language=pl.Series(names.tolist(), dtype=pl.String), language_confidence=pl.Series(confidence.round(3), dtype=pl.Float64)
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


def classify(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(labels, confidences) of texts: those of py3langid's `classify`, but each step of its automaton is taken by all texts at once."""
    known = model()
    folded = [unicodedata.normalize("NFC", text.lower() if text.isupper() else text) for text in texts]
    encoded = [text.encode("utf8", errors="surrogatepass") for text in folded]
    size = np.fromiter(map(len, encoded), np.intp, len(texts))
    scores = np.zeros((len(texts), len(known.nb_classes)), np.float32)
    order = np.argsort(-size, kind="stable")
    for begin in range(0, len(texts), TOGETHER):
        some = order[begin : begin + TOGETHER]
        for text, feature, count in ngrams([encoded[place] for place in some], size[some]):
            scores[some[text]] = np.log1p(count) @ weights().take(feature, axis=0) + known.nb_pc
    scores /= np.sqrt(np.maximum(size, 1), dtype=np.float32)[:, None]  # longer texts are no surer by their length alone
    np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    for label, other in known._alias_pairs:  # two classes of one label, by script
        scores[:, label] += scores[:, other]
        scores[:, other] = 0
    best = scores.argmax(axis=1)
    return np.array(known.nb_classes, dtype=object)[best], scores[np.arange(len(texts)), best]


def ngrams(texts: list[bytes], size: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(place of a text, its n-grams as the model numbers them, float32 how often) of texts sorted from long to short, those with any."""
    base, move, found = automaton()
    longest, features = int(size.max()), len(weights())
    letters = np.frombuffer(b"".join(text.ljust(longest, b"\0") for text in texts), np.uint8).reshape(-1, longest).T.astype(np.intp)
    states = np.zeros(letters.shape, np.int32)  # where a text has ended: the first state, which finds nothing
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


@functools.cache
def automaton() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(place of a state's row in the moves, the next state by row and byte, the n-gram that a state ends, -1 for none) of the model."""
    known = model()
    return np.array(known.tk_row, np.intp) << 8, np.asarray(known.tk_nextmove), np.array(known.tk_output, np.int32)


@functools.cache
def weights() -> np.ndarray:
    """Log-probability of each n-gram in each class, float32."""
    return model().nb_ptc.astype(np.float32)


@functools.cache
def model():
    """The classifier, read once a process (two seconds)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
