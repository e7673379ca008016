"""A byte-level BPE tokenizer with the special tokens and the chat template of the project."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fmcycle.error import InputError
from fmcycle.number import PositiveInt

END_OF_TEXT = "<|endoftext|>"  # ends every document of pretraining, so it also begins the next one
SPECIAL = (END_OF_TEXT, "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

# Words with their leading space, numbers in threes, CamelCase cut at its humps (operation names are made of them), then
# punctuation and white space; after GPT-4's pattern (tiktoken, cl100k_base).
PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?(?:\p{Lu}?\p{Ll}+|\p{Lu}+(?!\p{Ll})|\p{L}+)"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
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
