"""What does not speak HTTP, says little, or does not listen: it is told so in OpenAI's form, and holds nothing for long."""

import asyncio
import time

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from live import Live, dribble, refused, request, rest

from fmcycle.serving import connection
from fmcycle.serving.middleware import Shell

SECONDS = 1.5


@pytest.fixture
def live(monkeypatch):
    """A server with short ends, over an application that echoes, sleeps and talks for ever."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", SECONDS)
    monkeypatch.setattr(connection, "READ_SECONDS", SECONDS)
    app = FastAPI()
    app.add_middleware(Shell, paths=["/echo", "/sleep", "/talk"])
    app.state.talking = 0

    @app.post("/echo")
    async def echo(request: Request):
        return {"size": len(await request.body())}

    @app.post("/sleep")
    async def sleep():
        await asyncio.sleep(2 * SECONDS)
        return {"slept": True}

    @app.post("/talk")
    async def talk():
        async def words():
            app.state.talking += 1
            try:
                for _ in range(100_000):
                    yield b"x" * 10_000
                    await asyncio.sleep(0)
            finally:
                app.state.talking -= 1

        return StreamingResponse(words())

    with Live(app) as running:
        running.app = app
        yield running


def ended(client):
    """(what came, how many seconds it took) until the server ended the connection."""
    begun = time.monotonic()
    return rest(client), time.monotonic() - begun


CLOSE = "Connection: close\r\n"


def test_a_connection_that_says_nothing_is_ended(live):
    answer, seconds = ended(live.open())
    assert answer == b"" and seconds < 3 * SECONDS


@pytest.mark.parametrize("head", [b"P", b"POST /echo HTTP/1.1\r\nHost: localhost\r\nX-", b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"])
def test_headers_that_never_end_are_told_so(live, head):
    begun = time.monotonic()
    answer = asyncio.run(dribble(live.port, head, 0.1, b"a"))
    assert refused(answer) == (408, "headers_too_slow") and time.monotonic() - begun < 3 * SECONDS


def test_what_trickles_in_behind_an_answer_is_no_request_that_is_waited_for(live):
    early = request("/echo", b"", length=1000).replace(b"application/json", b"text/plain")  # 415 before the body
    begun = time.monotonic()
    answer = asyncio.run(dribble(live.port, early, 0.1))
    assert answer.startswith(b"HTTP/1.1 415") and time.monotonic() - begun < 3 * SECONDS


def test_an_answer_may_take_longer_than_headers_may(live):
    client = live.open(request("/sleep"))
    time.sleep(3 * SECONDS)
    client.sendall(request("/echo", more=CLOSE))
    answers = rest(client)
    assert b'"slept":true' in answers and b'"size":2' in answers


def test_a_client_that_does_not_read_is_let_go(live):
    client = live.open(request("/talk"))
    client.recv(10)
    end = time.monotonic() + 10 * SECONDS
    while live.app.state.talking and time.monotonic() < end:
        time.sleep(0.05)
    assert not live.app.state.talking
    client.close()


BROKEN = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10,
    "negative length": request("/echo", length=-1),
    "no number": request("/echo").replace(b"Length: 2", b"Length: two"),
    "two lengths": request("/echo", more="Content-Length: 3\r\n"),
    "long length": request("/echo").replace(b"Length: 2", b"Length: " + b"9" * 5000),
    "two hosts": request("/echo", more="Host: localhost\r\n"),
    "no host": request("/echo").replace(b"Host: localhost\r\n", b""),
    "NUL": request("/echo", more="X: a\0b\r\n"),
    "a space in a name": request("/echo", more="X y: a\r\n"),
    "a strange encoding": request("/echo").replace(b"Content-Length: 2", b"Transfer-Encoding: gzip"),
    "a broken chunk": request("/echo", b"zz\r\n").replace(b"Content-Length: 4", b"Transfer-Encoding: chunked"),
    "umlauts in the path": "POST /ü HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_http_is_told_so_and_ended(live, name):
    status, code = refused(rest(live.open(BROKEN[name])))
    assert 400 <= status <= 501 and code == "invalid_http"


@pytest.mark.parametrize("size", [50_000, 1_000_000])
@pytest.mark.parametrize("header", ["X: {}\r\n", "X-{}: a\r\n", "a: b\r\n" * 10])
def test_a_bomb_of_headers_is_refused_soon(live, header, size):
    bomb = (header.format("x" * size) if "{}" in header else header * (size // len(header))).encode()
    begun = time.process_time()
    client = live.open()
    try:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\n" + bomb + b"\r\n")
    except ConnectionError:
        pass  # it was refused before all was sent
    else:
        assert refused(rest(client)) == (431, "invalid_http") or size > 50_000
    assert time.process_time() - begun < 1
    assert b'"size":2' in rest(live.open(request("/echo", more=CLOSE)))


def test_what_follows_a_body_is_another_request(live):
    answer = rest(live.open(request("/echo", b"{}") + b"garbage\r\n\r\n"))
    assert b'"size":2' in answer and b"HTTP/1.1 400" in answer


def test_requests_that_are_sent_at_once_are_answered_in_order(live):
    answer = rest(live.open(request("/echo", b" " * 10) + request("/echo", b" " * 20) + request("/echo", b" " * 30, more=CLOSE)))
    sizes = [int(part.split(b"}")[0]) for part in answer.split(b'"size":')[1:]]
    assert sizes == [10, 20, 30]


def test_chunks_expectations_and_http_1_0(live):
    chunked = request("/echo", b"5\r\nabcde\r\n0\r\n\r\n", more=CLOSE).replace(b"Content-Length: 15", b"Transfer-Encoding: chunked")
    assert b'"size":5' in rest(live.open(chunked))
    client = live.open(request("/echo", b"", length=2, more="Expect: 100-continue\r\n" + CLOSE))
    assert client.recv(1 << 16).startswith(b"HTTP/1.1 100")
    client.sendall(b"{}")
    assert b'"size":2' in rest(client)
    old = request("/echo").replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: localhost\r\n", b"")
    assert b'"size":2' in rest(live.open(old))


def test_no_other_protocol_is_spoken(live):
    upgrade = (
        "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    assert b'"size":2' in rest(live.open(request("/echo", more=upgrade + CLOSE)))


def test_of_too_many_connections_the_ones_that_say_nothing_are_ended(live, monkeypatch):
    monkeypatch.setattr(connection, "CONNECTIONS", 20)
    monkeypatch.setattr(connection, "HEAD_SECONDS", 60)
    asleep = live.open(request("/sleep", more=CLOSE))
    idle = [live.open(b"POST") for _ in range(60)]
    for _ in range(5):
        assert b'"size":2' in rest(live.open(request("/echo", more=CLOSE)))
    assert b'"slept":true' in rest(asleep)
    for client in idle:
        client.close()
