"""Encodes many texts at once into arrays: by gigatoken if it agrees with the tokenizer, else by the tokenizer."""

import json
from collections.abc import Callable

import numpy as np

Encode = Callable[[list[str]], tuple[np.ndarray, np.ndarray]]
TRIED = (  # texts on which libraries disagree first
    "It's  CamelCase HTTPServer2024, 1234567 don't DON'T\tx = a[i]/*y*/\r\n\n   \n  end ",
    "naïve Straße élève Ångström ΑΒΓ αβγς Привет МИР हिन्दी में வணக்கம் ภาษาไทย 漢字かなカナ 한국어 العَرَبِيَّة עִבְרִית",
    "👩‍👩‍👧‍👦🇩🇪 e\u0301 ſ ﬁ Ⅻ ½ ٣٤٥ ǅ\u00a0\u2028\u3000\u200b <|endoftext|> <|user|>\x00\x7f\ufffd \U0010ffff",
)


def encoder(processor) -> Encode:
    """Return (texts) -> (uint32 ids of all texts in one array, number of ids of each text). Special tokens are neither added nor parsed.

    gigatoken takes a byte-level BPE tokenizer with a pattern that it knows. If it refuses one, or encodes TRIED differently, the
    processor's own library encodes; the ids are the same either way.
    """
    own = library(processor)
    fast = gigatoken(processor)
    texts = list(TRIED)
    if fast is not None and all(np.array_equal(one, other) for one, other in zip(fast(texts), own(texts), strict=True)):
        return fast
    return own


def library(processor) -> Encode:
    """Return the encoder that calls the transformers tokenizer."""

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = processor(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"] if texts else []
        size = np.array([len(each) for each in ids], np.int64)
        return np.concatenate([np.asarray(each, np.uint32) for each in ids]) if ids else np.zeros(0, np.uint32), size

    return encode


def gigatoken(processor) -> Encode | None:
    """Return the encoder that calls gigatoken; None for a tokenizer that it does not take."""
    from gigatoken import Tokenizer

    if not getattr(processor, "is_fast", False):
        return None
    about = json.loads(processor.backend_tokenizer.to_str())
    about |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}  # special tokens in a text stay plain text
    try:
        tokenizer = Tokenizer.from_json(json.dumps(about))
    except (ValueError, RuntimeError):  # RuntimeError: it does not know the pattern
        return None

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        found = tokenizer.encode_batch(texts).layout
        offsets = np.asarray(found.offsets.data).astype(np.int64)
        return np.asarray(found.content.data)[offsets[0] : offsets[-1]], np.diff(offsets)

    return encode
