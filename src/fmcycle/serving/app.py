"""The routes: OpenAI's, classes, feedback and the page, over one `Assistant`."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

from fmcycle.serving import once, telemetry
from fmcycle.serving.assistant import Answer, Assistant
from fmcycle.serving.read import read, read_form
from fmcycle.serving.refusal import ApiError
from fmcycle.serving.schema import Chat, Completion, Feedback
from fmcycle.serving.schema_once import Classify, Embeddings, Images, Transcription
from fmcycle.serving.shell import Shell
from fmcycle.serving.store import KeyReused, SeveralInputs, UnknownAnswer

PAGE = Path(__file__).with_name("page.html")
OWN = "'unsafe-inline'"  # the page's own style and script stand in it; nothing comes from elsewhere
POLICY = f"default-src 'none'; style-src {OWN}; script-src {OWN}; connect-src 'self'; img-src data:; media-src data:"
POLICY += "; frame-ancestors 'none'"


def create(slots: int = 2) -> FastAPI:
    """The ASGI application; `app.state.assistant` is set once the model is ready. slots: answers made at the same time."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Shell)
    app.state.assistant = None
    app.state.slots = asyncio.Semaphore(slots)
    app.add_exception_handler(ApiError, _as_response)
    app.add_api_route("/", _page, methods=["GET"])
    app.add_api_route("/v1/models", _models, methods=["GET"])
    app.add_api_route("/v1/models/{name}", _models, methods=["GET"])
    app.add_api_route("/v1/chat/completions", _chat, methods=["POST"])
    app.add_api_route("/v1/completions", _complete, methods=["POST"])
    app.add_api_route("/v1/embeddings", _embed, methods=["POST"])
    app.add_api_route("/classify", _classify, methods=["POST"])
    app.add_api_route("/v1/images/generations", _draw, methods=["POST"])
    app.add_api_route("/v1/audio/transcriptions", _transcribe, methods=["POST"])
    app.add_api_route("/v1/feedback", _feedback, methods=["POST"])
    app.add_api_route("/v1/{path:path}", _nowhere, methods=["GET", "POST", "PUT", "DELETE", "PATCH"], include_in_schema=False)
    return app


async def _as_response(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    telemetry.REJECTED.labels(status=str(error.status)).inc()
    return JSONResponse(error.body, error.status, error.headers)


async def _page() -> HTMLResponse:
    return HTMLResponse(PAGE.read_text(), headers={"content-security-policy": POLICY})


async def _nowhere(request: Request, path: str):
    raise ApiError(404, f"{request.method} /v1/{path[:80]}: there is no such route", "not_found")


def _assistant(request: Request) -> Assistant:
    if request.app.state.assistant is None:
        raise ApiError(503, "the model is still loading; /readyz says when it is ready", "not_ready", headers={"retry-after": "2"})
    return request.app.state.assistant


async def _models(request: Request, name: str | None = None):
    assistant = _assistant(request)
    engine, own = assistant.engine, assistant.name
    can = {"tasks": list(engine.tasks), "takes": list(engine.takes)}
    can |= {key: getattr(engine, key) for key in ("size", "classes", "labels") if hasattr(engine, key)}
    models = [{"id": model, "object": "model", "created": 0, "owned_by": "fmcycle", **can} for model in ("fmcycle", own)]
    if name is None:
        return {"object": "list", "data": models}
    if name not in ("fmcycle", own):
        raise ApiError(404, f"no such model here; there is fmcycle, which is {own}", "model_not_found", "model")
    return next(model for model in models if model["id"] == name)


async def _chat(request: Request):
    return await _answer(request, read(Chat, await request.body()), "chat.completion", "message")


async def _complete(request: Request):
    return await _answer(request, read(Completion, await request.body()), "text_completion", "text")


async def _embed(request: Request):
    return await _once(request, once.embed, read(Embeddings, await request.body()))


async def _classify(request: Request):
    return await _once(request, once.classify, read(Classify, await request.body()))


async def _draw(request: Request):
    return await _once(request, once.draw, read(Images, await request.body()))


async def _transcribe(request: Request):
    asked, wav = await read_form(Transcription, request, "file")
    answer = await _once(request, once.transcribe, asked, wav)
    if asked.response_format == "text":
        return PlainTextResponse(answer["text"], headers={"x-answer-id": answer["id"]})
    return answer


async def _once(request: Request, work: Callable, *asked) -> dict:
    """An answer in one piece, made in a thread when one of the slots is free."""
    assistant = _assistant(request)
    async with request.app.state.slots:
        return await run_in_threadpool(work, assistant, *asked)


async def _answer(request: Request, asked: Chat | Completion, kind: str, shape: str):
    answer = await run_in_threadpool(_assistant(request).ask, asked)
    pieces = _pieces(request, answer)
    if asked.stream:
        events = _events(answer, pieces, kind, bool(asked.stream_options and asked.stream_options.include_usage))
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"})
    async with aclosing(pieces):
        async for _ in pieces:
            if await request.is_disconnected():
                break
    said = {"message": {"role": "assistant", "content": answer.text, "refusal": None}} if shape == "message" else {"text": answer.text}
    choice = {"index": 0, "finish_reason": answer.finish, "logprobs": None, **said}
    return JSONResponse(_head(answer, kind) | {"choices": [choice], "usage": answer.usage()})


async def _pieces(request: Request, answer: Answer) -> AsyncGenerator[str, None]:
    """The pieces of an answer, made in a thread; leaving this stops the engine and keeps what was said."""
    async with request.app.state.slots:
        pieces = iter(answer)
        try:
            async for piece in iterate_in_threadpool(pieces):
                yield piece
        finally:
            pieces.close()  # type: ignore[attr-defined]


async def _events(answer: Answer, pieces, kind: str, with_usage: bool) -> AsyncGenerator[str, None]:
    """Server-sent events in OpenAI's form; the answer is in the store before the event that ends it."""
    chat = kind == "chat.completion"
    head = _head(answer, "chat.completion.chunk" if chat else kind)

    def event(delta: dict, text: str, finish: str | None) -> str:
        choice = {"index": 0, "finish_reason": finish, "logprobs": None, **({"delta": delta} if chat else {"text": text})}
        return f"data: {json.dumps(head | {'choices': [choice]}, ensure_ascii=False)}\n\n"

    if chat:
        yield event({"role": "assistant", "content": ""}, "", None)
    async with aclosing(pieces):
        async for piece in pieces:
            yield event({"content": piece}, piece, None)
    yield event({}, "", answer.finish)
    if with_usage:
        yield f"data: {json.dumps(head | {'choices': [], 'usage': answer.usage()})}\n\n"
    yield "data: [DONE]\n\n"


def _head(answer: Answer, kind: str) -> dict:
    package = answer.assistant.package
    return {
        "id": answer.id,
        "object": kind,
        "created": int(answer.created.timestamp()),
        "model": answer.assistant.name,
        "system_fingerprint": package["config"][:16],
    }


async def _feedback(request: Request):
    said = read(Feedback, await request.body())
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= 255:
        raise ApiError(400, "Idempotency-Key: 1 to 255 characters", "invalid_value", "Idempotency-Key")
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    store = _assistant(request).store
    try:
        number, new = await run_in_threadpool(store.add_feedback, said.id, now, said.model_dump(exclude={"id"}), key)
    except UnknownAnswer:
        raise ApiError(404, "no answer has this id", "answer_not_found", "id") from None
    except SeveralInputs as error:
        message = f"a correction is of one input, and this answer holds {error}: classify that one by itself and correct its answer"
        raise ApiError(400, message, "several_inputs", "corrected") from None
    except KeyReused:
        raise ApiError(409, "this Idempotency-Key came with other content before: use a new key", "key_reused", "Idempotency-Key") from None
    if new:
        telemetry.FEEDBACK.labels(rating=str(said.rating)).inc()
    return JSONResponse({"object": "feedback", "id": said.id, "number": number, "new": new}, 201 if new else 200)
