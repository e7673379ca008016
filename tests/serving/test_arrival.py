"""Clients that send little: they have ends and bounds of their own, and whoever sends a request is answered."""

import asyncio
import time

import httpx
import pytest
from fastapi import FastAPI, Request
from live import Live, connected, dribble, refused, request, rest

from fmcycle.serving import arrival
from fmcycle.serving.middleware import Shell


@pytest.fixture
def live(monkeypatch):
    """A server that gives a body 2 seconds and holds 16 in arrival."""
    monkeypatch.setattr(arrival, "BODIES", 16)
    app = FastAPI()
    app.add_middleware(Shell, paths=["/echo"], body_seconds=2, in_flight=4)

    @app.post("/echo")
    async def echo(request: Request):
        return {"size": len(await request.body())}

    with Live(app) as running:
        yield running


def test_forty_slow_bodies_take_no_place_from_an_honest_request(live):
    async def weather():
        slow = [asyncio.create_task(dribble(live.port, request("/echo", b"{", length=1000), 0.2)) for _ in range(40)]
        await asyncio.sleep(0.5)
        honest = []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{live.port}") as client:
            for _ in range(20):
                honest.append((await client.post("/echo", json={"a": 1})).status_code)
        return honest, await asyncio.gather(*slow)

    honest, slow = asyncio.run(weather())
    assert honest == [200] * 20
    assert {refused(answer) for answer in slow if answer.endswith(b"}")} == {(408, "body_too_slow")}  # a reset may eat one


def test_a_slow_body_is_ended_in_its_time(live):
    begun = time.monotonic()
    answer = asyncio.run(dribble(live.port, request("/echo", b"{", length=1000), 0.2))
    assert refused(answer) == (408, "body_too_slow") and 1.5 < time.monotonic() - begun < 4


def test_a_body_that_keeps_the_rate_may_take_longer(live, monkeypatch):
    monkeypatch.setattr(arrival, "RATE", 1000)
    piece, count = b"x" * 2000, 15  # 10,000 a second
    answer = asyncio.run(
        dribble(live.port, request("/echo", b"", length=len(piece) * count, more="Connection: close\r\n"), 0.2, piece, count)
    )
    assert b'"size":30000' in answer


def test_bodies_together_have_a_bound(live, monkeypatch):
    monkeypatch.setattr(arrival, "BYTES", 500_000)
    slow = [live.open(request("/echo", b"x" * 100_000, length=200_000)) for _ in range(8)]
    assert b'"size":2' in rest(live.open(request("/echo", more="Connection: close\r\n")))
    time.sleep(0.5)
    first = [client for client in slow if not _open(client)]
    assert 3 <= len(first) <= 5
    for client in slow:
        client.close()


def _open(client):
    client.setblocking(False)
    try:
        client.recv(1)
        return False
    except BlockingIOError:
        return True


def test_a_body_that_is_a_little_too_large_hears_why(live):
    assert refused(rest(live.open(request("/echo", b"x" * (2 << 20))))) == (413, "body_too_large")
    assert refused(rest(live.open(request("/echo", b"x", length=1 << 40)))) == (413, "body_too_large")


def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind(live):
    for _ in range(50):
        connected(live.port, request("/echo", b"{", length=1000)).close()
    assert b'"size":2' in rest(live.open(request("/echo", more="Connection: close\r\n")))
