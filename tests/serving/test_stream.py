"""What a stream lets out early is always the beginning of what the whole answer gives."""

import random

import pytest

from fmcycle.error import Refused
from fmcycle.guardrail.pii import Mask
from fmcycle.guardrail.refuse import Refuse
from fmcycle.serving.stream import TextStream


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
