"""`bentoml serve` in bad weather: clients that send a byte a second, a store that another process locks, a client that leaves."""

import asyncio
import json
import time
import urllib.error
import urllib.request

import httpx
import psutil
import pytest
from live import connected, dribble, refused, request, rest
from stores import locked

from fmcycle.serving.store import Store

HELLO = {"messages": [{"role": "user", "content": "What is a bucket?"}], "max_tokens": 4}
PATH = "/v1/chat/completions"
CLOSE = "Connection: close\r\n"


SLOW = [  # how a client begins, and what it goes on with: in its headers, in a body, in chunks, and not at all
    (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a"),
    (request(PATH, b"{", length=1000), b" "),
    (request("/v1/feedback", b"{", length=1_000_000), b" "),
    (request(PATH, b"", length=0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    (b"", b""),
]


async def weather(port: int, clients: int, honest: int) -> tuple[list[int], list[float], list[bytes]]:
    """(statuses and seconds of honest requests, what slow clients were told); the slow ones came first and stay until they are ended."""
    begins = [SLOW[number % len(SLOW)] for number in range(clients)]
    crawling = [asyncio.create_task(dribble(port, begin, 1.0, more)) for begin, more in begins]
    await asyncio.sleep(2)
    statuses, seconds = [], []
    for _ in range(honest):
        begun = time.monotonic()
        async with httpx.AsyncClient(timeout=60) as client:
            statuses.append((await client.post(f"http://127.0.0.1:{port}{PATH}", json=HELLO)).status_code)
        seconds.append(time.monotonic() - begun)
    return statuses, seconds, await asyncio.gather(*crawling)


def check(port, clients, honest):
    begun = time.monotonic()
    statuses, seconds, told = asyncio.run(weather(port, clients, honest))
    ended = time.monotonic() - begun
    print(f"{clients} slow clients: {honest} honest requests answered, the slowest in {max(seconds):.2f} s; all ended in {ended:.0f} s")
    assert statuses == [200] * honest and 8 < ended < 40
    said = [refused(answer)[0] for answer in told if answer.endswith(b"}")]  # of what is sent after an end nothing comes back
    assert set(said) == {408} and len(said) > clients / 3


def test_32_clients_that_send_a_byte_a_second_keep_nobody_out(server):
    check(server.port, 32, 20)


@pytest.mark.prove
def test_200_clients_that_send_a_byte_a_second_keep_nobody_out(server):
    check(server.port, 200, 75)


def post(server, path, body):
    sent = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(sent, timeout=60) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def ready(server) -> int:
    try:
        return urllib.request.urlopen(server.url + "/readyz", timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.2)
    assert holds()


def test_a_locked_store_is_known_and_takes_no_answer_with_it(server, project_with_model):
    before = json.loads(post(server, PATH, HELLO)[1])["id"]
    with locked(project_with_model / "store/feedback.db"):
        until(lambda: ready(server) == 503, 5)  # nobody has asked anything
        for _ in range(3):
            status, answer, _ = post(server, PATH, HELLO)
            assert status == 200
            _, events, _ = post(server, PATH, HELLO | {"stream": True})
            assert events.endswith("data: [DONE]\n\n") and '"finish_reason": "' in events
        for name in (before, json.loads(answer)["id"]):
            begun = time.monotonic()
            status, told, headers = post(server, "/v1/feedback", {"id": name, "rating": 1})
            assert status == 503 and headers["retry-after"] and json.loads(told)["error"]["code"] == "store_unavailable"
            assert time.monotonic() - begun < 2
        metrics = urllib.request.urlopen(server.url + "/metrics").read().decode()
        assert "fmcycle_answers_unkept 6.0" in metrics and "fmcycle_store_writable 0.0" in metrics
    until(lambda: ready(server) == 200)
    assert post(server, "/v1/feedback", {"id": json.loads(answer)["id"], "rating": 1})[0] == 201


def test_what_is_no_http_is_refused_in_openais_form(server):
    for wrong in (b"hello\r\n\r\n", request(PATH, length=-1), request(PATH, more="Content-Length: 9\r\n")):
        assert refused(rest(connected(server.port, wrong)))[1] == "invalid_http"
    assert refused(rest(connected(server.port, request(PATH, more=CLOSE).replace(b"application/json", b"\xff"))))[0] == 415
    assert refused(rest(connected(server.port, request("/made-up%0aline", more=CLOSE))))[0] == 404
    assert "made-up" not in server.log.read_text() + urllib.request.urlopen(server.url + "/metrics").read().decode()
    foreign, probe = request(PATH, more=CLOSE), request("/readyz", b"", "GET", more=CLOSE)
    assert refused(rest(connected(server.port, foreign.replace(b"localhost", b"evil.example"))))[0] == 403
    probe = probe.replace(b"localhost", b"10.1.2.3")
    assert rest(connected(server.port, probe)).startswith(b"HTTP/1.1 200")


@pytest.mark.prove
def test_a_worker_that_is_killed_at_work_is_started_again_and_what_was_acknowledged_is_there(start, project_with_model):
    server, acknowledged = start(), []
    for number in range(4):  # more often than a worker may fail to start
        name = json.loads(post(server, PATH, HELLO)[1])["id"]
        assert post(server, "/v1/feedback", {"id": name, "rating": 1, "comment": str(number)})[0] == 201
        acknowledged.append(name)
        worker = next(each for each in psutil.Process(server.process.pid).children() if "worker" in " ".join(each.cmdline()))
        worker.kill()
        worker.wait(10)
        server.wait(60)
    assert server.process.poll() is None
    rows = {row["answer_id"]: row for row in Store(f"sqlite:///{project_with_model}/store/feedback.db").interactions()}
    assert [rows[name]["comment"] for name in acknowledged] == ["0", "1", "2", "3"]
