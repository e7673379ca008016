"""Receives request bodies, with bounds on their number, size and slowness. A body in arrival takes no place among the answers."""

import asyncio
from dataclasses import dataclass, field

from fmcycle.serving.api_error import ApiError

BODIES = 256  # that arrive at the same time; beyond that the slowest is ended
BYTES = 64 << 20  # that all arriving bodies hold together
RATE = 16 << 10  # bytes a second; the least rate of a body after its first seconds
EXCESS = 16 << 20  # bytes of a too large body that the server reads and drops, so that the client gets the error


@dataclass(eq=False)
class Body:
    """One arriving body."""

    begun: float
    timeout: asyncio.Timeout
    size: int = 0
    parts: list[bytes] = field(default_factory=list)

    def pace(self, now: float) -> float:
        """Return bytes a second. A body younger than half a second counts as fast, the younger the faster."""
        age = now - self.begun
        return self.size / age if age > 0.5 else 1e12 - age


class Arrivals:
    """All arriving bodies."""

    def __init__(self, seconds: float):
        """`seconds`: a body must arrive within this time, or keep `RATE` from then on."""
        self.seconds = seconds
        self.bodies: set[Body] = set()

    async def body(self, receive, limit: int) -> bytes:
        """Return one body. Raises ApiError: 408 for a slow body, 413 for more than `limit` bytes, 400 for one that is cut off."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(now + self.seconds) as timeout:
                body = Body(now, timeout)
                self.bodies.add(body)
                try:
                    return await self._arrive(body, receive, limit)
                finally:
                    self.bodies.discard(body)
        except TimeoutError:
            message = f"the body came too slowly: after {self.seconds:g} s a body must have kept {RATE} bytes a second"
            raise ApiError(408, message, "body_too_slow", headers={"connection": "close"}) from None

    async def _arrive(self, body: Body, receive, limit: int) -> bytes:
        self._make_room(body)
        while True:
            message = await receive()
            if body.timeout.expired() or body not in self.bodies:
                await asyncio.sleep(0)  # its cancellation is due: let it happen here, not at a later await
            if message["type"] == "http.disconnect":
                raise ApiError(400, "the connection ended before the body did", "incomplete_body")
            part, ended = message.get("body", b""), not message.get("more_body")
            body.size += len(part)
            if body.size <= limit:
                body.parts.append(part)
            elif ended or body.size > limit + EXCESS:
                raise too_large(limit)
            else:
                body.parts.clear()
            if ended:
                return b"".join(body.parts)
            body.timeout.reschedule(body.begun + self.seconds + body.size / RATE)
            self._make_room(body)

    def _make_room(self, mine: Body) -> None:
        """End the slowest bodies other than `mine` until number and bytes are within bounds."""
        now = asyncio.get_running_loop().time()
        while len(self.bodies) > BODIES or sum(map(_held, self.bodies)) > BYTES:
            slowest = min(self.bodies - {mine}, key=lambda body: body.pace(now))
            self.bodies.discard(slowest)
            if not slowest.timeout.expired():
                slowest.timeout.reschedule(now)


def _held(body: Body) -> int:
    return body.size if body.parts else 0


def too_large(limit: int) -> ApiError:
    """Return the error for a body of more than `limit` bytes."""
    return ApiError(413, f"the body exceeds {limit} bytes", "body_too_large", headers={"connection": "close"})
