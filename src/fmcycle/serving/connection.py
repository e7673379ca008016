"""HTTP connections with time limits for headers, for idle time and for clients that do not read their response."""

import asyncio
import http
import json
import sys
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fmcycle.serving.api_error import ApiError

HEAD_SECONDS = 10.0  # from the start of a connection, or the end of the last response, to the end of a request's headers
READ_SECONDS = 30.0  # that a client may leave sent data unread
CONNECTIONS = 512  # open at the same time; a process may commonly have 1,024 files
SETTLED = 0.1  # seconds within which a new client usually sends its first bytes
PIECE = 16 << 10  # bytes that the parser gets at once, because it checks the size of headers only between two pieces


class Connection(H11Protocol):
    """uvicorn's HTTP protocol with time limits; `uvicorn.config.HTTP_PROTOCOLS` names it. It ignores upgrades to WebSocket."""

    front: ClassVar[Any] = None  # (app) -> app: wraps BentoML's application
    late: asyncio.TimerHandle | None = None  # ends the connection if the headers of a request come too late
    unread: asyncio.TimerHandle | None = None  # ends the connection if the client does not read

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.front:
            self.app = self.front(self.app)

    def connection_made(self, transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > CONNECTIONS:
            self.loop.call_later(SETTLED, self._make_room)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            if not self.transport.is_closing():
                super().data_received(data[start : start + PIECE])
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self.late, self.unread):
            if timer:
                timer.cancel()
        self.late = self.unread = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread = self.unread or self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.unread:
            self.unread.cancel()
            self.unread = None

    def send_400_response(self, msg: str) -> None:
        status = getattr(sys.exc_info()[1], "error_status_hint", 400)
        self._refuse(ApiError(status, f"{msg.rstrip('.')}: it does not follow HTTP, or its headers are too long", "invalid_http"))

    def _should_upgrade(self) -> bool:
        return False

    def _make_room(self) -> None:
        """End the connections that have been idle for longest until `CONNECTIONS` remain."""
        there = [each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing()]
        waiting = sorted((each.late.when(), number) for number, each in enumerate(there) if each.late)
        for _, number in waiting[: max(0, len(there) - CONNECTIONS)]:
            there[number].transport.abort()

    def _watch(self) -> None:
        """Start or stop the timer for headers. It runs while the server answers no request of this connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self.late:
                self.late.cancel()
                self.late = None
        elif self.late is None and not self.transport.is_closing():
            self.late = self.loop.call_later(HEAD_SECONDS, self._end)

    def _end(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(ApiError(408, f"the headers did not arrive within {HEAD_SECONDS:g} s", "headers_too_slow"))
        else:
            self.transport.abort()

    def _refuse(self, error: ApiError) -> None:
        """Send `error` as the response, unless a response has begun, and end the connection."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # the running application sees a disconnect and writes no more
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return self.transport.abort()
        body = json.dumps(error.body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        start = h11.Response(status_code=error.status, headers=headers, reason=http.HTTPStatus(error.status).phrase.encode())
        for event in (start, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        return self.transport.close()
