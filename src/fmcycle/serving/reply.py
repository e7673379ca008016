"""Sends an answer in one piece, or piece by piece as server-sent events."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager

from fastapi import Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from fmcycle.serving.answer import WAIT, Answer, no_place
from fmcycle.serving.api_error import ApiError
from fmcycle.serving.assistant import Assistant
from fmcycle.serving.middleware import place
from fmcycle.serving.schema import Chat, Completion

log = logging.getLogger("bentoml.serve")


@asynccontextmanager
async def _slot(request: Request):
    """Hold one of the slots for answers of one piece. Raises ApiError 503 if none is free within `WAIT`."""
    try:
        async with asyncio.timeout(WAIT):
            await request.app.state.slots.acquire()
    except TimeoutError:
        raise no_place() from None
    try:
        yield
    finally:
        request.app.state.slots.release()


async def whole(request: Request, work: Callable[[], dict], form: Callable[[dict], Response] = JSONResponse) -> Response:
    """Run `work` in a thread and return its result as a response. form: serializes the result, in the thread too, as it may be large."""
    async with _slot(request):
        return await run_in_threadpool(lambda: form(work()))


async def said(request: Request, assistant: Assistant, asked: Chat | Completion) -> Response:
    """Return an answer of text in OpenAI's form, streamed if the request asks for it."""
    answer = await run_in_threadpool(assistant.ask, asked)
    chat, pieces = isinstance(asked, Chat), answer.pieces()
    if asked.stream:
        events = _events(answer, pieces, chat, bool(asked.stream_options and asked.stream_options.include_usage))
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"})
    async with aclosing(pieces):
        async for _ in pieces:
            if await request.is_disconnected():
                break
    words = {"message": {"role": "assistant", "content": answer.draft.text, "refusal": None}} if chat else {"text": answer.draft.text}
    choice = {"index": 0, "finish_reason": answer.draft.finish, "logprobs": None, **words}
    return JSONResponse(_head(answer, "chat.completion" if chat else "text_completion") | {"choices": [choice], "usage": answer.usage()})


async def _events(answer: Answer, pieces: AsyncGenerator[str, None], chat: bool, with_usage: bool) -> AsyncGenerator[str, None]:
    """Yield server-sent events in OpenAI's form. The last is always [DONE], after the end of the answer or an error."""
    head = _head(answer, "chat.completion.chunk" if chat else "text_completion")

    def event(delta: dict, text: str, finish: str | None) -> str:
        choice = {"index": 0, "finish_reason": finish, "logprobs": None, **({"delta": delta} if chat else {"text": text})}
        return _data(head | {"choices": [choice]})

    try:
        if chat:
            yield event({"role": "assistant", "content": ""}, "", None)
        async with aclosing(pieces):
            async for piece in pieces:
                if piece:
                    yield event({"content": piece}, piece, None)
        yield event({}, "", answer.draft.finish)
        if with_usage:
            yield _data(head | {"choices": [], "usage": answer.usage()})
    except ApiError as error:
        yield _data(error.body)
    except Exception as error:
        log.error("a stream failed: %s", place(error))
        yield _data(ApiError(500, "the service failed in the middle of the answer; its log says where", "internal_error").body)
    yield "data: [DONE]\n\n"


def _data(content: dict) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _head(answer: Answer, kind: str) -> dict:
    package = answer.assistant.package
    return {
        "id": answer.id,
        "object": kind,
        "created": int(answer.created.timestamp()),
        "model": answer.assistant.name,
        "system_fingerprint": package["config"][:16],
    }
