"""Many texts to token ids at once, as arrays: by gigatoken where it gives what the tokenizer gives, else by the tokenizer itself."""

import json
from collections.abc import Callable

import numpy as np

Encode = Callable[[list[str]], tuple[np.ndarray, np.ndarray]]
TRIED = (  # what libraries disagree on first; a processor that comes out otherwise is encoded by its own library
    "It's  CamelCase HTTPServer2024, 1234567 don't DON'T\tx = a[i]/*y*/\r\n\n   \n  end ",
    "naïve Straße élève Ångström ΑΒΓ αβγς Привет МИР हिन्दी में வணக்கம் ภาษาไทย 漢字かなカナ 한국어 العَرَبِيَّة עִבְרִית",
    "👩‍👩‍👧‍👦🇩🇪 e\u0301 ſ ﬁ Ⅻ ½ ٣٤٥ ǅ\u00a0\u2028\u3000\u200b <|endoftext|> <|user|>\x00\x7f\ufffd \U0010ffff",
)


def encoder(processor) -> Encode:
    """(texts) -> (ids uint32 of all texts in one row, how many of each text). No special token is added; one that is written is text.

    gigatoken takes a byte-level BPE tokenizer with a pattern that it knows. Where it refuses one, or TRIED comes out otherwise, the
    processor's own library does the work: the ids are the same in any case.
    """
    own = library(processor)
    fast = gigatoken(processor)
    texts = list(TRIED)
    if fast is not None and all(np.array_equal(one, other) for one, other in zip(fast(texts), own(texts), strict=True)):
        return fast
    return own


def library(processor) -> Encode:
    """By the transformers tokenizer."""

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = processor(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"] if texts else []
        size = np.array([len(each) for each in ids], np.int64)
        return np.concatenate([np.asarray(each, np.uint32) for each in ids]) if ids else np.zeros(0, np.uint32), size

    return encode


def gigatoken(processor) -> Encode | None:
    """By gigatoken; None for a tokenizer that it does not take."""
    from gigatoken import Tokenizer

    if not getattr(processor, "is_fast", False):
        return None
    about = json.loads(processor.backend_tokenizer.to_str())
    about |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}  # no text opens a special token
    try:
        tokenizer = Tokenizer.from_json(json.dumps(about))
    except (ValueError, RuntimeError):  # the second is how it refuses a pattern
        return None

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        found = tokenizer.encode_batch(texts).layout
        offsets = np.asarray(found.offsets.data).astype(np.int64)
        return np.asarray(found.content.data)[offsets[0] : offsets[-1]], np.diff(offsets)

    return encode
