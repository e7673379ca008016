"""The deployed model as something that can be asked: engine, guardrails and one template, and every answer kept."""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fmcycle.build import build
from fmcycle.error import Refused
from fmcycle.processor.chat import plain_ids, render
from fmcycle.serving import telemetry
from fmcycle.serving.schema import ApiError, Chat, Completion
from fmcycle.serving.store import Store
from fmcycle.serving.stream import TextStream

SAMPLING = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")


class Assistant:
    """Answers requests with the engine and the guardrails that the package names."""

    def __init__(self, folder: str | Path, package: dict, store: Store):
        """`folder`: a deployed package, already verified; `package`: its package.json."""
        self.engine = build(package["engine"])(folder=str(Path(folder) / "model"))
        guards = build(package["guardrail"])
        self.before, self.after = guards.get("input", []), guards.get("output", [])
        self.package, self.store = package, store
        self.processor = self.engine.processor
        ends = {self.processor.eos_token_id, self.processor.convert_tokens_to_ids("<|end|>")}
        self.stop = sorted(ends - {None, self.processor.unk_token_id})

    @property
    def name(self) -> str:
        """What /v1/models calls the deployed model."""
        return f"fmcycle:{self.package['tag']}"

    def warm_up(self) -> None:
        """One short answer, kept nowhere, so that the first person does not wait for lazy initialisation."""
        ids = render(self.processor, [{"role": "user", "content": "Hello"}], generation_prompt=True)
        for _ in self.engine([{"ids": ids, "max_tokens": 4, "stop": []}]):
            pass

    def ask(self, request: Chat | Completion) -> "Answer":
        """An answer that has not begun. Raises ApiError where the model or the context does not fit."""
        if request.model not in ("", "fmcycle", self.name):
            raise ApiError(404, f"no such model here; there is fmcycle, which is {self.name}", "model_not_found", "model")
        if isinstance(request, Chat):
            prompt = [message.plain() for message in request.messages]
            ids = render(self.processor, prompt, generation_prompt=True)
        else:
            prompt = [{"role": "user", "content": request.prompt}]
            ids = plain_ids(self.processor, request.prompt)
            if self.processor.bos_token_id is not None:
                ids = [self.processor.bos_token_id, *ids]
        free = self.engine.positions - len(ids)
        wanted = request.limit()
        if free < 1 or (wanted or 1) > free:
            tokens = f"{len(ids)} tokens of prompt" + (f" and {wanted} of answer" if wanted else "")
            message = f"{tokens} exceed the model's context of {self.engine.positions}: shorten the prompt or lower max_tokens"
            raise ApiError(400, message, "context_length_exceeded", "messages" if isinstance(request, Chat) else "prompt")
        options = {name: value for name in SAMPLING if (value := getattr(request, name)) is not None}
        options.setdefault("seed", random.getrandbits(63))
        sampling = {"ids": ids, "max_tokens": min(wanted or self.engine.max_tokens, free), "stop": self.stop, **options}
        return Answer(self, request, prompt, sampling)


@dataclass
class Answer:
    """One answer in the making: iterate over its pieces of text once; it is in the store before the last one is out."""

    assistant: Assistant
    request: Chat | Completion
    prompt: list[dict[str, str]]
    sampling: dict
    id: str = field(default_factory=lambda: f"ans-{uuid.uuid4().hex}")
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    text: str = ""
    finish: str = "cancelled"
    tokens: int = 0

    def __iter__(self) -> Iterator[str]:
        clock = time.monotonic()
        try:
            for piece in self._pieces(clock):
                self.text += piece
                if piece:
                    yield piece
        finally:
            self._keep(time.monotonic() - clock)

    def _pieces(self, clock: float) -> Iterator[str]:
        try:
            for guard in self.assistant.before:
                for message in self.prompt:
                    guard(message["content"])
            yield from self._said(clock)
        except Refused as refused:
            self.finish = "content_filter"
            yield refused.reason if not self.text else ""

    def _said(self, clock: float) -> Iterator[str]:
        stream = TextStream(self.assistant.processor, self.assistant.after, list(self.request.stop or []))
        with closing(self.assistant.engine([self.sampling])) as tokens:
            for _, token in tokens:
                if not self.tokens:
                    telemetry.FIRST_TOKEN.observe(time.monotonic() - clock)
                self.tokens += 1
                yield stream.push(token)
                if stream.stopped:
                    break
        rest = stream.finish()
        self.finish = "length" if self.tokens >= self.sampling["max_tokens"] and not stream.stopped else "stop"
        yield rest

    def _keep(self, latency: float) -> None:
        package = self.assistant.package
        self.assistant.store.add_answer(
            {
                "answer_id": self.id,
                "time": self.created.isoformat(timespec="microseconds"),
                "kind": "chat" if isinstance(self.request, Chat) else "completion",
                "prompt": self.prompt,
                "answer": self.text,
                "finish": self.finish,
                "model": package["model"],
                "processor": package["processor"],
                "config": package["config"],
                "prompt_tokens": len(self.sampling["ids"]),
                "answer_tokens": self.tokens,
                "latency": round(latency, 4),
                "refused": self.finish == "content_filter",
            }
        )
        telemetry.ANSWERS.labels(finish=self.finish).inc()
        telemetry.TOKENS.labels(kind="prompt").inc(len(self.sampling["ids"]))
        telemetry.TOKENS.labels(kind="answer").inc(self.tokens)
        telemetry.LATENCY.observe(latency)

    def usage(self) -> dict[str, int]:
        """OpenAI's count of tokens."""
        prompt = len(self.sampling["ids"])
        return {"prompt_tokens": prompt, "completion_tokens": self.tokens, "total_tokens": prompt + self.tokens}
