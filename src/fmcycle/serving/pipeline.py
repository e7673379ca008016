"""Turns a conversation into an answer, for the server and for evaluations: so what is evaluated is what is served."""

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
    """One unfinished answer: `open` it before the engine starts, `push` each token of the engine, `close` it after the last.

    request: the request to the engine; tokens, text: of the answer so far; refusals: the reasons of the guards that refused.
    """

    messages: list[dict]
    request: Request
    guards: Sequence[Callable[[str], str]]  # on the messages; the stream has those on the answer
    stream: TextStream
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    refusals: list[str] = field(default_factory=list)
    finish: str = "cancelled"

    @property
    def done(self) -> bool:
        """True if the engine may stop: a guard refused, or the text contains a stop string."""
        return bool(self.refusals) or self.stream.stopped

    def open(self) -> str:
        """Check the messages with the input guards; return the reason of a refusal, else an empty text."""
        return self._released(self._check)

    def push(self, token: int) -> str:
        """Add one token; return the text that may go out now."""
        self.tokens.append(token)
        return self._released(lambda: self.stream.push(token))

    def close(self) -> str:
        """End the answer; return the rest of its text."""
        rest = "" if self.refusals else self._released(self.stream.finish)
        if not self.refusals:
            self.finish = "length" if len(self.tokens) >= self.request.sampling.max_tokens and not self.stream.stopped else "stop"
        return rest

    def read(self, tokens: Iterable[int]) -> None:
        """Add the tokens of a complete answer, up to the one that completes a stop string or that a guard refuses, and end it."""
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
        """Return the text that `step` releases. If a guard refuses, return its reason, or nothing if text went out before."""
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
    """Makes drafts: renders a conversation, limits the answer to the context and puts guards before and behind the engine.

    engine: has the methods of `fmcycle.engine.context.Context`; guardrail: {"input": guards, "output": guards}, each (text) -> text.
    """

    engine: Any
    guardrail: dict[str, list[Callable[[str], str]]] = field(default_factory=dict)

    def chat(self, messages: list[dict], **options) -> Draft:
        """Return the draft of an answer to a conversation, in the chat template. Raises InputError if the template refuses the roles."""
        return self.draft(messages, render(self.engine.processor, messages, generation_prompt=True), **options)

    def completion(self, text: str, **options) -> Draft:
        """Return the draft of the continuation of a text, without a template."""
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
        """Return the draft of an answer to `ids`, the tokens of `messages`. sampling: fields of `Sampling`; greedy without them."""
        length = max(0, min(max_tokens or self.engine.max_tokens, self.engine.room(ids)))
        ends = frozenset(getattr(self.engine, "stop_ids", None) or components.ends(self.engine.processor))
        request = Request(ids, Sampling(length, stop_ids=ends, **sampling), images)
        stream = TextStream(components.tokenizer_of(self.engine.processor), self.guards("output"), list(stop))
        return Draft(messages, request, self.guards("input"), stream)

    def guards(self, side: str) -> list[Callable[[str], str]]:
        """Return the guards of a side, `input` or `output`."""
        return self.guardrail.get(side) or []


def guards_of(nodes: dict[str, dict]) -> str:
    """Return the digests of the guards in evaluations, as config data; empty if none of them asks the model for answers."""
    return " ".join(sorted({guards_digest(node["guardrail"]) for node in nodes.values() if "guardrail" in node}))


def guards_digest(guardrail: dict[str, list] | None) -> str:
    """Return a digest of guards, as config data {"input": [...], "output": [...]}, and of their code in the user's packages."""
    guards = {side: nodes for side, nodes in (guardrail or {}).items() if nodes}
    return artifact.digest_of([guards, code_digest.own(guards)])
