"""Byte-level BPE tokenizer with the project's special tokens and chat template."""

from collections.abc import Iterable

import numpy as np
import polars as pl
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fmcycle.errors import InputError
from fmcycle.processor import bpe_trainer
from fmcycle.ranges import PositiveInt

END_OF_TEXT = "<|endoftext|>"  # ends every document of pretraining, so it also begins the next one
SPECIAL = (END_OF_TEXT, "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

# Words with their leading space or sign, split inside CamelCase, with combining marks of other scripts; numbers in threes, punctuation,
# white space: the published pattern of GPT-4o (tiktoken, o200k_base); fast libraries recognise this exact string
_SIGN, _UPPER, _LOWER = r"[^\r\n\p{L}\p{N}]?", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join(
    [
        f"{_SIGN}{_UPPER}*{_LOWER}+{_SHORT}",
        f"{_SIGN}{_UPPER}+{_LOWER}*{_SHORT}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def bpe(texts: Iterable[str], *, vocab_size: PositiveInt = 8192, min_frequency: PositiveInt = 2) -> PreTrainedTokenizerFast:
    """Train byte-level BPE on `texts` and return the tokenizer, which does not depend on their order.

    Raises InputError if `vocab_size` can't hold the 256 bytes and the special tokens, or if there is no text.
    Source: Sennrich et al. (2016), over bytes as in Radford et al. (2019).
    """
    if vocab_size < 256 + len(SPECIAL):
        raise InputError(f"processor.vocab_size {vocab_size} is below the {256 + len(SPECIAL)} bytes and special tokens: raise it")
    texts = pl.Series("text", texts if isinstance(texts, pl.Series) else list(texts), dtype=pl.String)
    words = bpe_trainer.word_counts(texts, PATTERN)
    tokenizer = by_library(texts, vocab_size, min_frequency) if words is None else by_counts(words, vocab_size, min_frequency)
    if tokenizer.get_vocab_size() <= 256 + len(SPECIAL):
        raise InputError("the train split of inputs.documents has no text to learn a vocabulary from; check its columns `text` and `split`")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token="<|pad|>",
        additional_special_tokens=list(SPECIAL[2:]),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def untrained(model: models.BPE) -> Tokenizer:
    """Return a tokenizer of `model` over bytes, with PATTERN as its pre-tokenizer."""
    tokenizer = Tokenizer(model)
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def by_counts(words: pl.DataFrame, vocab_size: int, min_frequency: int) -> Tokenizer:
    """Return the tokenizer trained on (word, count), equal to that of `by_library` on the texts."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letter = letters()
    first = np.array([len(SPECIAL) + alphabet.index(letter[byte]) for byte in range(256)])
    encoded = [word.encode() for word in words["word"]]
    merged = bpe_trainer.merges(encoded, words["count"].to_numpy(), first, vocab_size, min_frequency)
    names = [*SPECIAL, *alphabet]
    known = {name: number for number, name in enumerate(names)}
    for one, other in merged:
        name = names[one] + names[other]
        if name not in known:
            known[name] = len(names)
            names.append(name)
    tokenizer = untrained(models.BPE(known, [(names[one], names[other]) for one, other in merged]))
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def letters() -> list[str]:
    """Return the character that stands for each byte: itself if printable, else the next from 256 on (Radford et al., 2019)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(byte if byte in plain else next(other)) for byte in range(256)]


def by_library(texts: Iterable[str], vocab_size: int, min_frequency: int) -> Tokenizer:
    """Return the tokenizer trained by the tokenizers library: the reference, and for texts that contain bpe_trainer.MARK."""
    tokenizer = untrained(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
