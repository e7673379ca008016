"""Reads the head of a GGUF file (llama.cpp): its fields, without the vocabulary and the weights."""

import struct
from pathlib import Path
from typing import BinaryIO

from fmcycle.errors import InputError

NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TEXT, ARRAY = 8, 9
LONGEST = 1 << 24  # bytes of a text, and items of an array, beyond which the file is damaged
SIZES = {  # {name in a transformers config: name behind the architecture in the file}
    "max_position_embeddings": "context_length",
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
}


def fields(file: Path | BinaryIO) -> dict:
    """Return {name: value} of a file or an open stream; of an array its length. Raises InputError if it is no whole head."""
    if isinstance(file, Path):
        with open(file, "rb") as stream:
            return _fields(stream, str(file))
    return _fields(file, str(getattr(file, "name", "the file")))


def _fields(stream: BinaryIO, name: str) -> dict:
    try:
        if stream.read(4) != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        _, _, count = _number(stream, "<I"), _number(stream, "<Q"), _number(stream, "<Q")
        return {_text(stream): _value(stream, int(_number(stream, "<I"))) for _ in range(int(count))}
    except (ValueError, KeyError, struct.error) as error:
        raise InputError(f"{name}: not a whole GGUF file ({error}); fetch it again") from error


def _number(stream: BinaryIO, form: str) -> float:
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]


def _text(stream: BinaryIO) -> str:
    length = int(_number(stream, "<Q"))
    if length > LONGEST:
        raise ValueError(f"a text of {length} bytes")
    return stream.read(length).decode("utf-8", "replace")


def _value(stream: BinaryIO, kind: int):
    if kind == TEXT:
        return _text(stream)
    if kind != ARRAY:
        return _number(stream, NUMBERS[kind])
    inner, count = int(_number(stream, "<I")), int(_number(stream, "<Q"))
    if count > LONGEST:
        raise ValueError(f"an array of {count} items")
    if inner in (TEXT, ARRAY):
        for _ in range(count):
            _value(stream, inner)
    else:
        stream.read(count * struct.calcsize(NUMBERS[inner]))
    return count


def sizes(found: dict) -> dict:
    """Return the sizes among the `fields` of a file, by the names that transformers' configs have."""
    kind = found.get("general.architecture")
    named = {ours: found.get(f"{kind}.{theirs}") for ours, theirs in SIZES.items()}
    named["vocab_size"] = found.get(f"{kind}.vocab_size") or found.get("tokenizer.ggml.tokens")
    return {name: value for name, value in named.items() if isinstance(value, int)}
