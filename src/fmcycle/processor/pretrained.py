"""Loads the processor of a pretrained model: from a transformers folder, a GGUF file, or a member of a pinned wheel."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fmcycle.artifact import external
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import ExistingPath, PositiveInt

SENTENCES = "sentence_bert_config.json"  # of sentence-transformers: holds the longest input in tokens
DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone")  # tokenizer.ggml.pre that split every digit (llama.cpp)
FAMILIES = ("gpt-2", "gpt2", "default")  # tokenizer.ggml.pre of Radford et al.'s pattern, which transformers uses for all


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
    """Return the processor in `base`, else in the base of an adapter, else in `path`; `texts` are not used.

    vocab_size: number of tokens it must have. begin: the token that preceded texts when the weights were trained, if the file
    states another. Raises InputError for files that are missing, damaged, or would run code.
    """
    named = None if base or package or external.form(Path(path)) != "adapter" else external.base_of(Path(path))
    place = external.located(base or named or path, package, sha256)
    processor = of_gguf(place) if place.is_file() else of_folder(place)
    tokenizer = tokenizer_of(processor)
    if vocab_size is not None and (tokenizer is None or len(tokenizer) != vocab_size):
        found = "none" if tokenizer is None else len(tokenizer)
        raise InputError(f"{path}: has {found} tokens, processor.vocab_size is {vocab_size}: correct it, or choose another file")
    if begin is not None:
        if begin not in tokenizer.get_vocab():
            raise InputError(f"{path}: processor.begin {begin!r} is not one of its tokens; correct it or leave it out")
        tokenizer.bos_token = begin
    return processor


def of_folder(place: Path) -> Any:
    """Return the processor in a folder, its maximum length that of sentence-transformers' config, if any."""
    processor = store.load_processor(place)
    if (place / SENTENCES).is_file() and (most := artifact.read_json(place / SENTENCES).get("max_seq_length")):
        tokenizer_of(processor).model_max_length = most
    return processor


def of_gguf(file: Path) -> Any:
    """Return the tokenizer of a GGUF file with its chat template, without the file's path."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        found = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name, local_files_only=True)
        about = said(file)
    except Exception as error:  # a damaged file raises any of Python's errors
        raise InputError(f"{file}: its tokenizer can't be read ({type(error).__name__}: {error}); fetch the file again") from error
    kind, cut = about.get("tokenizer.ggml.model"), about.get("tokenizer.ggml.pre", "default")
    if kind == "gpt2" and cut in DIGITS:  # transformers ignores tokenizer.ggml.pre
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
        found.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_])
    elif kind == "gpt2" and cut not in FAMILIES:
        raise InputError(f"{file}: its pre-tokenizer {cut!r} is not supported; use the transformers folder of the same model")
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
    """Return the string fields of a GGUF file's metadata."""
    from gguf import GGUFReader, GGUFValueType

    fields = GGUFReader(file).fields
    return {name: str(field.contents()) for name, field in fields.items() if field.types == [GGUFValueType.STRING]}
