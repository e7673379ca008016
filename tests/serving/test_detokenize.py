"""What a stream lets out early is always the beginning of what the whole answer gives."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from fmcycle.errors import Refused
from fmcycle.guardrail.pii import Mask
from fmcycle.guardrail.refuse import Refuse
from fmcycle.serving.detokenize import TextStream


class Bytes:
    """A processor whose ids are bytes: every character beyond ASCII comes in pieces."""

    def decode(self, ids, **_):
        return bytes(ids).decode("utf-8", errors="replace")


def told(text, guards=(), stops=()):
    """(pieces, stream) of `text`, token by token."""
    stream, pieces = TextStream(Bytes(), list(guards), list(stops)), []
    for token in text.encode():
        pieces.append(stream.push(token))
        if stream.stopped:
            break
    return [*pieces, stream.finish()], stream


def test_text_without_guards_goes_out_whole_in_whole_characters():
    pieces, _ = told("Grüße, 世界 🎉!")
    assert "".join(pieces) == "Grüße, 世界 🎉!" and not any("�" in piece for piece in pieces)


@pytest.mark.parametrize("stop", ["END", "\n\n", "e"])
def test_a_stop_string_and_what_follows_never_go_out(stop):
    text = "One two. E EN END\n\nmore"
    assert "".join(told(text, stops=[stop])[0]) == text[: text.find(stop)]


def test_no_blocked_span_leaks_and_the_whole_is_the_masked_text():
    spans = ["bob@example.com", "bob@example.com.au", "+1 (415) 555-0132", "4111 1111 1111 1111", "AKIAIOSFODNN7EXAMPLE"]
    between = ["12", "é", "and", ".", "\n", " ", " "]
    for seed in range(300):
        text = "".join(random.Random(seed).choices([*spans, *between], k=12))
        pieces, _ = told(text, [Mask()])
        assert "".join(pieces) == Mask()(text), text


def test_words_flow_while_they_come():
    pieces, _ = told("The bucket holds objects.", [Mask()])
    assert sum(bool(piece) for piece in pieces) >= 4


def test_a_guard_that_can_not_hold_back_keeps_all_until_the_end():
    pieces, _ = told("a harmless answer", [Refuse(patterns=["bomb"])])
    assert pieces[:-1] == [""] * (len(pieces) - 1) and pieces[-1] == "a harmless answer"
    with pytest.raises(Refused):
        told("about a bomb", [Refuse(patterns=["bomb"])])


@pytest.mark.parametrize("text", ["A tree 🌳 and 世界", "世界世界世界世界世界世界世界世界", "é" * 40])
@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_an_end_in_the_middle_of_a_character_leaves_that_character_out(text, size):
    """`size`: bytes of a token; tokens of some sizes end in the middle of a character many times in a row."""
    content = text.encode()
    tokens = [content[start : start + size] for start in range(0, len(content), size)]
    for end in range(len(tokens) + 1):
        stream = TextStream(Pieces(tokens), [Mask()], [])
        out = "".join([*map(stream.push, range(end)), stream.finish()])
        assert out == stream.raw == b"".join(tokens[:end]).decode(errors="ignore")


class Pieces:
    """A processor whose ids are numbers of pieces of bytes."""

    def __init__(self, pieces):
        self.pieces = pieces

    def decode(self, ids, **_):
        return b"".join(self.pieces[each] for each in ids).decode("utf-8", errors="replace")


def test_bytes_that_never_become_a_character_do_not_hold_back_what_follows():
    stream = TextStream(Pieces([b"\x80", b"end"]), [], [])
    out = "".join([*(stream.push(0) for _ in range(500)), stream.push(1), stream.finish()])
    assert out.endswith("end") and len(stream.ids) < 65


def test_words_of_a_sentencepiece_tokenizer_keep_the_blanks_between_them():
    """Its decoder strips the blank before the first word of whatever it decodes."""
    vocabulary = {"<unk>": 0, "<end>": 1, "▁The": 2, "▁bucket": 3, "s": 4, "▁": 5}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    made.decoder = decoders.Metaspace()
    made.add_special_tokens(["<end>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", clean_up_tokenization_spaces=False)
    for ids in ([2, 3, 4, 3], [4, 3, 5, 2], [2, 1, 3, 1]):
        stream = TextStream(tokenizer, [], [])
        assert "".join([*map(stream.push, ids), stream.finish()]) == tokenizer.decode(ids, skip_special_tokens=True), ids
