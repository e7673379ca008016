"""Turns token ids into text that may go out: whole characters, no text after a stop string, no span that a guard blocks."""

from collections.abc import Callable, Sequence

PENDING = "�"  # a decoder writes it for bytes that form no whole character yet
LONGEST = 64  # ids that may wait for the rest of a character: some bytes never become one


class TextStream:
    """Turns the ids of an answer into text as they come. The released text is always a prefix of the text of the whole answer.

    guards: (text) -> text each, with `hold(text) -> number of characters at the end to keep back`. A guard without `hold` keeps back the
    whole text until the answer is complete.
    """

    def __init__(self, processor, guards: list[Callable[[str], str]], stops: list[str]):
        self.processor, self.guards, self.stops = processor, guards, stops
        self.before: list[int] = []  # context for `ids`: a decoder may strip the blank before the first word that it decodes
        self.ids: list[int] = []  # ids since the last token that ended a character
        self.whole = ""  # whole characters of `before` and `ids`; they are in `raw` already
        self.raw = ""  # text of the model
        self.sent = ""  # released text
        self.stopped = False  # True once the text contains a stop string

    def push(self, token: int) -> str:
        """Add one id; return the text that may go out now. Raises Refused if a guard refuses."""
        self.ids.append(token)
        text = self._decode([*self.before, *self.ids])
        whole = text.rstrip(PENDING) if len(self.ids) < LONGEST else text
        self.raw += whole[len(self.whole) :]
        self.whole = whole
        if whole == text:
            alone = self._decode(self.ids)
            if alone and not alone.endswith(PENDING):
                self.before = self.ids
            self.ids, self.whole = [], self._decode(self.before)
        found = [place for stop in self.stops if (place := self.raw.find(stop)) >= 0]
        if found:
            self.raw, self.stopped = self.raw[: min(found)], True
            return ""
        return self._release(len(self.raw) - self._held())

    def _decode(self, ids: list[int]) -> str:
        return self.processor.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def finish(self) -> str:
        """Return the rest of a complete answer, without a character that it ends in the middle of."""
        return self._release(len(self.raw))

    def _release(self, end: int) -> str:
        text = guarded(self.raw[:end], self.guards)
        new, self.sent = text[len(self.sent) :], max(self.sent, text, key=len)
        return new

    def _held(self) -> int:
        guards = [guard.hold(self.raw) if hasattr(guard, "hold") else len(self.raw) for guard in self.guards]
        stops = [size for stop in self.stops for size in range(1, len(stop)) if self.raw.endswith(stop[:size])]
        return max([0, *guards, *stops])


def guarded(text: str, guards: Sequence[Callable[[str], str]]) -> str:
    """`text` as each guard in turn rewrites it. Raises Refused if one refuses."""
    for guard in guards:
        text = guard(text)
    return text
