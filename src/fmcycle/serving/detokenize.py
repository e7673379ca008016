"""Token ids in, text that may go out: whole characters, nothing past a stop string, no span that a guard blocks."""

from collections.abc import Callable, Sequence

PENDING = "�"  # what a decoder gives for bytes that are no whole character yet
LONGEST = 64  # ids that may stay open: bytes that never become a character must not be decoded for ever


class TextStream:
    """Turns an answer's ids into text as they come; everything that was let out is a prefix of what the whole answer gives.

    guards: (text) -> text each, with `hold(text) -> characters at the end to keep back`; a guard without `hold`
    keeps everything back until the answer is complete.
    """

    def __init__(self, processor, guards: list[Callable[[str], str]], stops: list[str]):
        self.processor, self.guards, self.stops = processor, guards, stops
        self.before: list[int] = []  # the ids before them: a decoder may strip the blank before the first word that it is given
        self.ids: list[int] = []  # since the last end of a token that was the end of a character too
        self.whole = ""  # the whole characters of both, which are in `raw`
        self.raw = ""  # what the model said
        self.sent = ""  # what went out
        self.stopped = False  # a stop string was found

    def push(self, token: int) -> str:
        """Take one more id; return the text that may go out now. Raises Refused where a guard does."""
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
        """The rest, once the answer is complete; without the character in whose middle it ended."""
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
