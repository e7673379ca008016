"""The routes of the server: OpenAI's, classes, feedback and the page, over one `Assistant`."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Match

from fmcycle.artifact import page
from fmcycle.serving import metrics, reply, single
from fmcycle.serving.access import Access
from fmcycle.serving.api_error import ApiError
from fmcycle.serving.assistant import Assistant
from fmcycle.serving.middleware import Shell
from fmcycle.serving.request import read, read_form
from fmcycle.serving.schema import Chat, Completion, Feedback
from fmcycle.serving.store import KeyReused, SeveralInputs, StoreDown, UnknownAnswer

PAGE = Path(__file__).with_name("page")  # index.html and what it loads
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; media-src data:; form-action 'none'"
POLICY += "; base-uri 'none'; frame-ancestors 'none'"


def create(slots: int = 2, allowed: Access | None = None) -> FastAPI:
    """Return the ASGI application; the service sets `app.state.assistant` once the model is ready.

    slots: number of answers of one piece at the same time; allowed: Host names and origins beside the server's own.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Shell, paths=ROUTES, allowed=allowed)
    app.state.assistant = None
    app.state.slots = asyncio.Semaphore(slots)
    for path, work in ROUTES.items():
        app.add_api_route(path, work, methods=["GET", "HEAD"] if work in (_page, _models) else ["POST"])
    app.routes.append(Elsewhere())
    return app


async def _page(name: str = "index.html") -> Response:
    if name not in {file.name for file in PAGE.iterdir()}:
        raise ApiError(404, "the page has no such file", "not_found")
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache", "x-content-type-options": "nosniff"}
    content = (page.colours() if name == "page.css" else "") + (PAGE / name).read_text()
    return Response(content, headers=headers, media_type=TYPES[Path(name).suffix])


class Elsewhere(BaseRoute):
    """The last route matches every path, also one with a line break: 404, or 405 with the methods that the path takes."""

    def matches(self, scope):
        return Match.FULL if scope["type"] == "http" else Match.NONE, {}

    async def handle(self, scope, receive, send):
        method, path = scope["method"][:20], scope["path"][:80]
        takes = [route.methods for route in scope["app"].routes if route.matches(scope)[0] is Match.PARTIAL]
        if not takes:
            raise ApiError(404, f"{method} {path}: there is no such route", "not_found")
        allowed = ", ".join(sorted(takes[0]))
        raise ApiError(405, f"{method} {path}: this route takes {allowed}", "method_not_allowed", headers={"allow": allowed})


def _assistant(request: Request) -> Assistant:
    if request.app.state.assistant is None:
        raise ApiError(503, "the model is still loading; /readyz says when it is ready", "not_ready", headers={"retry-after": "2"})
    return request.app.state.assistant


async def _models(request: Request, name: str | None = None):
    assistant = _assistant(request)
    engine, own = assistant.engine, assistant.name
    can = {"tasks": list(engine.tasks), "takes": list(engine.takes)}
    can |= {key: getattr(engine, key) for key in ("size", "classes", "labels", "max_tokens") if hasattr(engine, key)}
    can |= {"context": engine.positions} if hasattr(engine, "positions") else {}
    models = [{"id": model, "object": "model", "created": 0, "owned_by": "fmcycle", **can} for model in ("fmcycle", own)]
    if name is None:
        return {"object": "list", "data": models}
    if name not in ("fmcycle", own):
        raise ApiError(404, f"no such model here; there is fmcycle, which is {own}", "model_not_found", "model")
    return next(model for model in models if model["id"] == name)


async def _asked(request: Request, schema):
    return await run_in_threadpool(read, schema, await request.body())


async def _chat(request: Request):
    asked = await _asked(request, Chat)
    return await reply.said(request, _assistant(request), asked)


async def _complete(request: Request):
    asked = await _asked(request, Completion)
    return await reply.said(request, _assistant(request), asked)


async def _embed(request: Request):
    asked = await _asked(request, single.Embeddings)
    return await reply.whole(request, partial(single.embed, _assistant(request), asked))


async def _classify(request: Request):
    asked = await _asked(request, single.Classify)
    return await reply.whole(request, partial(single.classify, _assistant(request), asked))


async def _draw(request: Request):
    asked = await _asked(request, single.Images)
    return await reply.whole(request, partial(single.draw, _assistant(request), asked))


async def _transcribe(request: Request):
    asked, sound = await run_in_threadpool(read_form, single.Transcription, request.headers["content-type"], await request.body(), "file")
    form = _as_text if asked.response_format == "text" else JSONResponse
    return await reply.whole(request, partial(single.transcribe, _assistant(request), asked, sound), form)


def _as_text(answer: dict) -> PlainTextResponse:
    return PlainTextResponse(answer["text"], headers={"x-answer-id": answer["id"]})


async def _feedback(request: Request):
    said = await _asked(request, Feedback)
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= 255:
        raise ApiError(400, "Idempotency-Key: 1 to 255 characters", "invalid_value", "Idempotency-Key")
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    keeper = _assistant(request).keeper
    try:
        number, new = await run_in_threadpool(keeper.feedback, said.id, now, said.model_dump(exclude={"id"}), key)
    except UnknownAnswer:
        raise ApiError(404, "no answer has this id", "answer_not_found", "id") from None
    except SeveralInputs as error:
        message = f"a correction is of one input, and this answer holds {error}: classify that one by itself and correct its answer"
        raise ApiError(400, message, "several_inputs", "corrected") from None
    except KeyReused:
        raise ApiError(409, "this Idempotency-Key came with other content before: use a new key", "key_reused", "Idempotency-Key") from None
    except StoreDown:
        message = "the feedback store can't be written now: send the same again, with an Idempotency-Key so that it is one row"
        raise ApiError(503, message, "store_unavailable", headers={"retry-after": "2"}) from None
    if new:
        metrics.FEEDBACK.labels(rating=str(said.rating)).inc()
    return JSONResponse({"object": "feedback", "id": said.id, "number": number, "new": new}, 201 if new else 200)


ROUTES: dict[str, Callable] = {
    "/": _page,
    "/page/{name}": _page,
    "/v1/models": _models,
    "/v1/models/{name}": _models,
    "/v1/chat/completions": _chat,
    "/v1/completions": _complete,
    "/v1/embeddings": _embed,
    "/classify": _classify,
    "/v1/images/generations": _draw,
    "/v1/audio/transcriptions": _transcribe,
    "/v1/feedback": _feedback,
}
BENTOMLS = {"/healthz", "/livez", "/readyz", "/metrics", "/schema.json"}
NAMED = BENTOMLS | {"/v1/models/fmcycle"} | {path for path in ROUTES if "{" not in path}


class Front:
    """ASGI application in front of BentoML's, which would count and log every invented path, and fails on a Content-Type beyond ASCII."""

    def __init__(self, own, bentomls):
        self.own, self.bentomls = own, bentomls

    async def __call__(self, scope, receive, send):
        usual = scope["type"] != "http" or (scope["path"] in NAMED and dict(scope["headers"]).get(b"content-type", b"").isascii())
        await (self.bentomls if usual else self.own)(scope, receive, send)
