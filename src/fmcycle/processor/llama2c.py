"""Loads tokenizers of llama2.c (Karpathy, 2023): one small file with SentencePiece's pieces and scores."""

import struct
from collections.abc import Iterable
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from fmcycle.artifact import external
from fmcycle.errors import InputError
from fmcycle.ranges import ExistingPath

CHAT_TEMPLATE = (  # its models only continue texts: a conversation is its contents, with an end of text after each answer
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
SPECIAL = ("<unk>", "<s>", "</s>")  # names of the first three pieces, whatever the file says
BYTES = 256  # byte pieces after them


def llama2c(texts: Iterable[str] | None = None, *, path: ExistingPath, file: str, sha256: str | None = None) -> PreTrainedTokenizerFast:
    """Return the tokenizer in `path`/`file`; `texts` are not used. Raises InputError if `sha256` differs or the file is damaged."""
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
    """Return the pieces in the order of their ids. Raises InputError if the file is truncated or holds a piece twice."""
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
    """Return the pairs of pieces that form another one, in SentencePiece's order of preference: pieces are sorted by score."""
    return [
        (piece[:cut], piece[cut:])
        for piece in ranked[len(SPECIAL) + BYTES :]
        for cut in range(1, len(piece))
        if piece[:cut] in known and piece[cut:] in known
    ]
