"""The ASGI middleware in front of the routes: access, sizes, slow bodies, load, and logs without any user's text."""

import asyncio
import json
import logging
import math
import traceback
from collections.abc import Collection

import anyio

from fmcycle.serving import access, metrics
from fmcycle.serving.api_error import ApiError
from fmcycle.serving.arrival import EXCESS, Arrivals, too_large

log = logging.getLogger("bentoml.serve")
FORM = "/v1/audio/transcriptions"  # takes a multipart form, as OpenAI's does; every other path takes JSON
ANSWER = 600  # seconds until an answer must begin; the server waits for a thread that makes one, because a thread can't be stopped
FILES = {FORM, "/classify"}  # paths with the larger limit, because they take sound
BODY_BYTES, FILE_BYTES = 1 << 20, 8 << 20


class Shell:
    """Refuses forbidden clients, large or slow bodies and overload with errors in OpenAI's form; logs only the place of a failure.

    paths: the paths that take a body.
    """

    def __init__(
        self,
        app,
        *,
        paths: Collection[str],
        allowed: access.Access | None = None,
        body_seconds: float = 10,
        in_flight: int = 32,
    ):
        self.app, self.in_flight = app, in_flight
        self.paths, self.allowed = paths, allowed or access.Access()
        self.arrivals = Arrivals(body_seconds)
        self.busy = 0
        self.mean = 1.0  # running mean of the seconds of an answer, for Retry-After

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, origin = False, None

        async def sending(message):
            nonlocal started
            started = True
            if origin and message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", []), *access.shared(origin, scope)]}
            await send(message)

        try:
            origin = self.allowed.check(scope)
            if origin and access.preflight(scope):
                await sending({"type": "http.response.start", "status": 204, "headers": []})
                await sending({"type": "http.response.body"})
            elif scope["method"] == "POST" and scope["path"] in self.paths:
                await self._pass(scope, receive, sending)
            else:
                await self.app(scope, receive, sending)
        except ApiError as error:
            await refuse(error, sending)
        except Exception as error:
            log.error("%s %r failed: %s", scope["method"], scope["path"][:80], place(error))
            if not started:
                await refuse(ApiError(500, "the service failed; its log says where", "internal_error"), sending)

    async def _pass(self, scope, receive, send) -> None:
        """Receive the body, then answer the request. A request takes a place among the answers only once its body is complete."""
        loop = asyncio.get_running_loop()
        body = await self.arrivals.body(receive, self._limit(scope))
        if self.busy >= self.in_flight:
            seconds = max(1, round(self.mean))
            message = f"{self.busy} requests are being answered; try again in {seconds} s"
            raise ApiError(429, message, "overloaded", headers={"retry-after": str(seconds)})
        self.busy += 1
        metrics.BUSY.inc()
        try:
            begun, given = loop.time(), False

            async def replay():
                nonlocal given
                if given:
                    return await receive()
                given = True
                return {"type": "http.request", "body": body, "more_body": False}

            async def sending(message):
                limit.deadline = math.inf  # an answer that has begun has no time limit
                await send(message)

            with anyio.move_on_after(ANSWER) as limit:
                await self.app(scope, replay, sending)
            if limit.cancelled_caught:
                raise ApiError(504, f"no answer began within {ANSWER} s", "answer_too_slow")
            self.mean += 0.1 * (loop.time() - begun - self.mean)
        finally:
            self.busy -= 1
            metrics.BUSY.dec()

    def _limit(self, scope) -> int:
        """Return how many bytes the body may have. Raises ApiError for a wrong Content-Type and a Content-Length beyond the limit."""
        headers = dict(scope["headers"])
        kind = "multipart/form-data" if scope["path"] == FORM else "application/json"
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != kind.encode():
            raise ApiError(415, f"the body must be {kind}: set the Content-Type header", "unsupported_media_type")
        limit, declared = FILE_BYTES if scope["path"] in FILES else BODY_BYTES, headers.get(b"content-length", b"0")
        if declared.isdigit() and (len(declared) > 15 or int(declared) > limit + EXCESS):
            raise too_large(limit)
        return limit


def place(error: BaseException) -> str:
    """Return the type of an error and where it was raised, without its message, which may hold a user's text."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " <- ".join([type(error).__name__, *[f"{frame.filename}:{frame.lineno}" for frame in reversed(frames)]])


async def refuse(error: ApiError, send) -> None:
    """Send `error` as the whole response."""
    metrics.REJECTED.labels(status=str(error.status)).inc()
    body = json.dumps(error.body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(key.encode(), value.encode()) for key, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
