"""How a conversation becomes an answer. The server and the evaluations both do it here, so what is evaluated is what is served."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmcycle.artifact import folder as artifact
from fmcycle.config import code_digest
from fmcycle.engine.protocol import Request, Sampling
from fmcycle.errors import Refused
from fmcycle.processor import components
from fmcycle.processor.chat import plain_ids, render
from fmcycle.serving.detokenize import TextStream


@dataclass
class Draft:
    """An answer in the making: `open` it before the engine is asked, `push` each of its tokens, `close` it after the last.

    request: what the engine is asked; tokens, text: of the answer so far; refusals: the reasons of the guards that refused.
    """

    messages: list[dict]
    request: Request
    guards: Sequence[Callable[[str], str]]  # on the messages; those on the answer are the stream's
    stream: TextStream
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    refusals: list[str] = field(default_factory=list)
    finish: str = "cancelled"

    @property
    def done(self) -> bool:
        """True if the engine need not go on: a guard refused, or a stop string was found."""
        return bool(self.refusals) or self.stream.stopped

    def open(self) -> str:
        """Put the messages before the input guards; returns the reason of a refusal, else nothing."""
        return self._released(self._check)

    def push(self, token: int) -> str:
        """Take one more token; returns the text that may go out now."""
        self.tokens.append(token)
        return self._released(lambda: self.stream.push(token))

    def close(self) -> str:
        """Say that the engine has ended; returns the rest of the text."""
        rest = "" if self.refusals else self._released(self.stream.finish)
        if not self.refusals:
            self.finish = "length" if len(self.tokens) >= self.request.sampling.max_tokens and not self.stream.stopped else "stop"
        return rest

    def read(self, tokens: Iterable[int]) -> None:
        """Take all tokens of an engine that has ended, up to the one that completes a stop string or that a guard refuses."""
        for token in tokens:
            self.push(token)
            if self.done:
                break
        self.close()

    def _check(self) -> str:
        if self.request.sampling.max_tokens < 1:
            raise Refused(f"{len(self.request.ids)} tokens of prompt leave no room for an answer in the model's context")
        for guard in self.guards:
            for message in self.messages:
                guard(message["content"])
        return ""

    def _released(self, step: Callable[[], str]) -> str:
        """The text that `step` lets out; if a guard refuses and no text went out before, its reason instead."""
        try:
            piece = step()
        except Refused as refused:
            self.refusals.append(refused.reason)
            self.finish = "content_filter"
            piece = "" if self.text else refused.reason
        self.text += piece
        return piece


@dataclass
class Pipeline:
    """Makes drafts: renders the conversation, cuts the answer to the context and puts guards before and behind the engine.

    engine: has the methods of `fmcycle.engine.context.Context`; guardrail: {"input": guards, "output": guards}, each (text) -> text.
    """

    engine: Any
    guardrail: dict[str, list[Callable[[str], str]]] = field(default_factory=dict)

    def chat(self, messages: list[dict], **options) -> Draft:
        """The answer to a conversation in the form of the chat template. Raises InputError if the template refuses the roles."""
        return self.draft(messages, render(self.engine.processor, messages, generation_prompt=True), **options)

    def completion(self, text: str, **options) -> Draft:
        """The continuation of a text, without a template."""
        ids = self.engine.begin(plain_ids(self.engine.processor, text))
        return self.draft([{"role": "user", "content": text}], ids, **options)

    def draft(
        self,
        messages: list[dict],
        ids: list[int],
        *,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        images: Sequence[bytes] = (),
        **sampling,
    ) -> Draft:
        """The answer to `ids`, the tokens of `messages`; greedy unless `sampling`, fields of `Sampling`, says otherwise."""
        length = max(0, min(max_tokens or self.engine.max_tokens, self.engine.room(ids)))
        ends = frozenset(components.ends(self.engine.processor))
        request = Request(ids, Sampling(length, stop_ids=ends, **sampling), images)
        stream = TextStream(components.tokenizer_of(self.engine.processor), self.guards("output"), list(stop))
        return Draft(messages, request, self.guards("input"), stream)

    def guards(self, side: str) -> list[Callable[[str], str]]:
        """The guards of a side, `input` or `output`."""
        return self.guardrail.get(side) or []


def guards_of(nodes: dict[str, dict]) -> str:
    """Digests of the guards behind which the evaluations of `nodes` judge answers; empty if none of them asks the model for answers."""
    return " ".join(sorted({guards_digest(node["guardrail"]) for node in nodes.values() if "guardrail" in node}))


def guards_digest(guardrail: dict[str, list] | None) -> str:
    """Digest of guards as config data {"input": [...], "output": [...]}, and of their code in the user's packages."""
    guards = {side: nodes for side, nodes in (guardrail or {}).items() if nodes}
    return artifact.digest_of([guards, code_digest.own(guards)])
