"""The thin ASGI shell in front of the service: sizes, slow bodies, load, and no user's text in a log."""

import asyncio
import json
import logging
import traceback

from fmcycle.serving import telemetry
from fmcycle.serving.refusal import ApiError

log = logging.getLogger("bentoml.serve")
FORM = "/v1/audio/transcriptions"  # takes a multipart form, as OpenAI has it; every other path takes JSON
FILES = {FORM, "/classify"}  # may be larger: sound


class Shell:
    """Refuses what is too large, too slow or too much, in OpenAI's error form; logs a failure by its place only."""

    def __init__(self, app, *, body_bytes: int = 1 << 20, file_bytes: int = 8 << 20, body_seconds: float = 10, in_flight: int = 32):
        self.app, self.body_bytes, self.file_bytes, self.body_seconds, self.in_flight = app, body_bytes, file_bytes, body_seconds, in_flight
        self.busy = 0
        self.mean = 1.0  # seconds an answer takes, a running mean: what Retry-After says

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        started = False

        async def sending(message):
            nonlocal started
            started = True
            await send(message)

        try:
            if self.busy >= self.in_flight:
                seconds = max(1, round(self.mean))
                message = f"{self.busy} requests are being answered; try again in {seconds} s"
                raise ApiError(429, message, "overloaded", headers={"retry-after": str(seconds)})
            await self._pass(scope, receive, sending)
        except ApiError as error:
            await refuse(error, send)
        except Exception as error:
            log.error("%s %s failed: %s", scope["method"], scope["path"], place(error))
            if not started:
                await refuse(ApiError(500, "the service failed; its log says where", "internal_error"), send)

    async def _pass(self, scope, receive, send) -> None:
        loop = asyncio.get_running_loop()
        self.busy += 1
        telemetry.BUSY.inc()
        try:
            body, begun = await self._body(scope, receive), loop.time()
            given = False

            async def replay():
                nonlocal given
                if given:
                    return await receive()
                given = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self.app(scope, replay, send)
            self.mean += 0.1 * (loop.time() - begun - self.mean)
        finally:
            self.busy -= 1
            telemetry.BUSY.dec()

    async def _body(self, scope, receive) -> bytes:
        headers, form = dict(scope["headers"]), scope["path"] == FORM
        limit = self.file_bytes if scope["path"] in FILES else self.body_bytes
        kind = "multipart/form-data" if form else "application/json"
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != kind.encode():
            raise ApiError(415, f"the body must be {kind}: set the Content-Type header", "unsupported_media_type")
        too_large = ApiError(413, f"the body exceeds {limit} bytes", "body_too_large")
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > 16 * self.body_bytes + limit:
            raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(400, "the connection ended before the body did", "incomplete_body")
                    size += len(message.get("body", b""))
                    if size <= limit:
                        parts.append(message.get("body", b""))
                    ended = not message.get("more_body")
                    if size > limit and (ended or size > 16 * self.body_bytes + limit):
                        raise too_large  # what is a little too large is read to its end, so that the sender hears why
                    if ended:
                        return b"".join(parts)
        except TimeoutError:
            raise ApiError(408, f"the body did not arrive within {self.body_seconds:g} s", "body_too_slow") from None


def place(error: BaseException) -> str:
    """Type of an error and where it was raised, without its message, which may hold a user's text."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " <- ".join([type(error).__name__, *[f"{frame.filename}:{frame.lineno}" for frame in reversed(frames)]])


async def refuse(error: ApiError, send) -> None:
    """Send `error` as the whole response."""
    telemetry.REJECTED.labels(status=str(error.status)).inc()
    headers = [(b"content-type", b"application/json"), *[(key.encode(), value.encode()) for key, value in error.headers.items()]]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(error.body).encode()})
