"""Tokenizers of llama2.c (Karpathy, 2023): SentencePiece's pieces and scores in one small file."""

import struct
from collections.abc import Iterable
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from fmcycle.artifact import external
from fmcycle.errors import InputError
from fmcycle.ranges import ExistingPath

CHAT_TEMPLATE = (  # it goes on with a text: a conversation is its contents, each answer with the end of text behind it
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
SPECIAL = ("<unk>", "<s>", "</s>")  # the first three, whatever the file calls them
BYTES = 256  # pieces behind them


def llama2c(texts: Iterable[str] | None = None, *, path: ExistingPath, file: str, sha256: str | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer in the file `file` of the folder `path`; `texts` teach it nothing. InputError where it is another, or not whole."""
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    ranked = pieces(external.located(f"{path}/{file}", sha256=sha256))
    known = {piece: number for number, piece in enumerate(ranked)}
    made = BPE(known, merges(ranked, known), unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(made)
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def pieces(file: Path) -> list[str]:
    """The pieces by their ids. Raises InputError where the file is cut short or names a piece twice."""
    content, place, found = file.read_bytes(), 4, list[str]()
    try:
        while place < len(content):
            _, size = struct.unpack_from("<fi", content, place)
            place += 8 + size
            if size < 0 or place > len(content):
                raise ValueError("a piece ends behind the file")
            found.append(content[place - size : place].decode())
    except (struct.error, ValueError) as error:
        raise InputError(f"{file}: not a whole tokenizer of llama2.c ({error}); fetch it again") from error
    if len(found) <= len(SPECIAL) + BYTES:
        raise InputError(f"{file}: {len(found)} pieces are fewer than the special ones and the bytes; name a tokenizer of llama2.c")
    found[: len(SPECIAL)] = SPECIAL
    if len(set(found)) < len(found):
        raise InputError(f"{file}: holds a piece twice; name a tokenizer of llama2.c")
    return found


def merges(ranked: list[str], known: dict[str, int]) -> list[tuple[str, str]]:
    """Pairs of pieces that make another, the one that SentencePiece prefers first: pieces stand in the order of their scores."""
    return [
        (piece[:cut], piece[cut:])
        for piece in ranked[len(SPECIAL) + BYTES :]
        for cut in range(1, len(piece))
        if piece[:cut] in known and piece[cut:] in known
    ]
