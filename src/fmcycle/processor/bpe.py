"""A byte-level BPE tokenizer with the special tokens and the chat template of the project."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fmcycle.error import InputError
from fmcycle.number import PositiveInt

END_OF_TEXT = "<|endoftext|>"  # ends every document of pretraining, so it also begins the next one
SPECIAL = (END_OF_TEXT, "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

# Words with their leading space or sign, cut at the humps of CamelCase, with the marks that other scripts write over letters; numbers in
# threes, punctuation, white space: the published pattern of GPT-4o (tiktoken, o200k_base), which fast libraries know by its exact letters
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
    """Train byte-level BPE on `texts`; the same texts in any order of equal content give the same tokenizer.

    Raises InputError where `vocab_size` can't hold the 256 bytes and the special tokens, or where there is no text.
    Source: Sennrich et al. (2016), over bytes as in Radford et al. (2019).
    """
    if vocab_size < 256 + len(SPECIAL):
        raise InputError(
            f"processor.vocab_size {vocab_size} is below the {256 + len(SPECIAL)} that bytes and special tokens take: raise it"
        )
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() <= 256 + len(SPECIAL):
        raise InputError(
            "the train split of inputs.documents has no text to learn a vocabulary from; look at its `text` and `split` columns"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token="<|pad|>",
        additional_special_tokens=list(SPECIAL[2:]),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
