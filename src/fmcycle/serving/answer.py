"""An answer of words while it is made: the engine's tokens become text behind the guards, and all of it is kept."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from anyio import CancelScope
from starlette.concurrency import run_in_threadpool

from fmcycle.engine.protocol import Request
from fmcycle.errors import Refused
from fmcycle.serving import metrics
from fmcycle.serving.api_error import ApiError
from fmcycle.serving.detokenize import TextStream
from fmcycle.serving.schema import Chat, Completion
from fmcycle.serving.store import trace

if TYPE_CHECKING:
    from fmcycle.serving.assistant import Assistant

WAIT = 300  # seconds until an answer begins to be made


def no_place() -> ApiError:
    """The refusal of a request for which there was no place within `WAIT`."""
    return ApiError(503, f"no answer could begin within {WAIT} s", "overloaded", headers={"retry-after": "60"})


@dataclass
class Answer:
    """One answer in the making: read its `pieces` once. When they end it is in the store, if the store is there.

    asked: by the client; request: to the engine. What takes time (guards, decoding, the store) is done in threads.
    """

    assistant: Assistant
    asked: Chat | Completion
    prompt: list[dict[str, str]]
    request: Request
    id: str = field(default_factory=lambda: f"ans-{uuid.uuid4().hex}")
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    text: str = ""
    finish: str = "cancelled"
    tokens: int = 0

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The text, a piece for each token and some of them empty; whoever leaves early or is cancelled ends the engine's work."""
        clock, heard = time.monotonic(), True
        try:
            async with aclosing(self._guarded(clock)) as pieces:
                async for piece in pieces:
                    self.text += piece
                    yield piece
        except (GeneratorExit, asyncio.CancelledError):
            heard = False  # nobody waits for the store either
            raise
        except Exception:
            self.finish = "error"
            raise
        finally:
            keep = partial(self._keep, time.monotonic() - clock, wait=heard)
            if heard:
                await run_in_threadpool(keep)
            else:
                keep()

    async def _guarded(self, clock: float) -> AsyncGenerator[str, None]:
        try:
            await run_in_threadpool(self._check)
            async with aclosing(self._said(clock)) as pieces:
                async for piece in pieces:
                    yield piece
        except Refused as refused:
            self.finish = "content_filter"
            yield refused.reason if not self.text else ""

    def _check(self) -> None:
        for guard in self.assistant.before:
            for message in self.prompt:
                guard(message["content"])

    async def _said(self, clock: float) -> AsyncGenerator[str, None]:
        engine = self.assistant.engine
        stream = TextStream(self.assistant.tokenizer, self.assistant.after, list(self.asked.stop or []))
        try:
            async with asyncio.timeout(WAIT):
                handle = await engine.submit(self.request)
        except TimeoutError:
            raise no_place() from None
        try:
            async for token in engine.stream(handle):
                if not self.tokens:
                    metrics.FIRST_TOKEN.observe(time.monotonic() - clock)
                self.tokens += 1
                yield await run_in_threadpool(stream.push, token)
                if stream.stopped:
                    break
        finally:
            with CancelScope(shield=True):
                await engine.abort(handle)
        rest = await run_in_threadpool(stream.finish)
        self.finish = "length" if self.tokens >= self.request.sampling.max_tokens and not stream.stopped else "stop"
        yield rest

    def _keep(self, latency: float, wait: bool) -> None:
        images = self.request.images
        kind = ("image_chat" if images else "chat") if isinstance(self.asked, Chat) else "completion"
        seen = [{"role": "user", "content": trace(image)} for image in images]
        tokens = {"prompt_tokens": len(self.request.ids), "answer_tokens": self.tokens}
        row: dict = {"created": self.created, "finish": self.finish, "latency": latency, "wait": wait, **tokens}
        self.assistant.keep(self.id, kind, [*seen, *self.prompt], self.text, **row)

    def usage(self) -> dict[str, int]:
        """OpenAI's count of tokens."""
        prompt = len(self.request.ids)
        return {"prompt_tokens": prompt, "completion_tokens": self.tokens, "total_tokens": prompt + self.tokens}
