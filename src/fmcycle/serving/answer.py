"""Streams one answer of text from the engine through the answer pipeline, and stores it at the end."""

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

from fmcycle.serving import metrics
from fmcycle.serving.api_error import ApiError
from fmcycle.serving.pipeline import Draft
from fmcycle.serving.schema import Chat, Completion
from fmcycle.serving.store import trace

if TYPE_CHECKING:
    from fmcycle.serving.assistant import Assistant

WAIT = 300  # seconds that a request waits until its answer begins


def no_place() -> ApiError:
    """Return the error for a request whose answer could not begin within `WAIT`."""
    return ApiError(503, f"no answer could begin within {WAIT} s", "overloaded", headers={"retry-after": "60"})


@dataclass
class Answer:
    """One answer. A caller reads its `pieces` once; when they end, the answer is in the store, unless the store is down.

    asked: the client's request. Guards, decoding and the store take time, so they run in threads.
    """

    assistant: Assistant
    asked: Chat | Completion
    draft: Draft
    id: str = field(default_factory=lambda: f"ans-{uuid.uuid4().hex}")
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Yield the text, a piece for each token; a piece may be empty. If the caller stops early or is cancelled, the engine stops."""
        clock, heard = time.monotonic(), True
        try:
            async with aclosing(self._written(clock)) as pieces:
                async for piece in pieces:
                    yield piece
        except (GeneratorExit, asyncio.CancelledError):
            heard = False  # no client waits for the store
            raise
        except Exception:
            self.draft.finish = "error"
            raise
        finally:
            keep = partial(self._keep, time.monotonic() - clock, wait=heard)
            if heard:
                await run_in_threadpool(keep)
            else:
                keep()

    async def _written(self, clock: float) -> AsyncGenerator[str, None]:
        engine, draft = self.assistant.engine, self.draft
        yield await run_in_threadpool(draft.open)
        if draft.done:
            return
        try:
            async with asyncio.timeout(WAIT):
                handle = await engine.submit(draft.request)
        except TimeoutError:
            raise no_place() from None
        try:
            async for token in engine.stream(handle):
                if not draft.tokens:
                    metrics.FIRST_TOKEN.observe(time.monotonic() - clock)
                yield await run_in_threadpool(draft.push, token)
                if draft.done:
                    break
        finally:
            with CancelScope(shield=True):
                await engine.abort(handle)
        yield await run_in_threadpool(draft.close)

    def _keep(self, latency: float, wait: bool) -> None:
        draft, images = self.draft, self.draft.request.images
        kind = ("image_chat" if images else "chat") if isinstance(self.asked, Chat) else "completion"
        prompt = [{"role": "user", "content": trace(image)} for image in images]
        prompt += [{key: message[key] for key in ("role", "content")} for message in draft.messages]
        tokens = {"prompt_tokens": len(draft.request.ids), "answer_tokens": len(draft.tokens)}
        row: dict = {"created": self.created, "finish": draft.finish, "latency": latency, "wait": wait, **tokens}
        self.assistant.keep(self.id, kind, prompt, draft.text, **row)

    def usage(self) -> dict[str, int]:
        """Return the token counts in OpenAI's form."""
        prompt, answer = len(self.draft.request.ids), len(self.draft.tokens)
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
