"""Every method on every path answers in OpenAI's form, and a store that is away takes no answer with it."""

import json
import time

import pytest
from starlette.testclient import TestClient
from stores import locked

from fmcycle.serving import app as routes
from fmcycle.serving import shell

HELLO = {"messages": [{"role": "user", "content": "What is a bucket?"}], "max_tokens": 4}
PATHS = {
    "/": "GET",
    "/v1/models": "GET",
    "/v1/models/fmcycle": "GET",
    "/v1/chat/completions": "POST",
    "/v1/completions": "POST",
    "/v1/embeddings": "POST",
    "/classify": "POST",
    "/v1/images/generations": "POST",
    "/v1/audio/transcriptions": "POST",
    "/v1/feedback": "POST",
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_a_path_does_not_take_is_told_what_it_takes(served, path, method):
    if method == PATHS[path]:
        return
    answer = served("decoder").http.request(method, path, headers={"content-type": "application/json"} if method == "POST" else {})
    assert answer.status_code == 405 and PATHS[path] in answer.headers["allow"]
    assert answer.json()["error"]["type"] == "invalid_request_error" and PATHS[path] in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/models/fmcycle"])
def test_what_can_be_read_answers_head(served, path):
    assert served("decoder").http.head(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/models/%2e%2e", "/v1/models/a%2fb", "/v1/models/", "/v1", "/..%2f", "/x" * 500, "/v1/%00", "/docs", "/%ff"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_a_path_that_is_none_is_said_so(served, path, method):
    answer = served("decoder").http.request(method, path, headers={"content-type": "application/json"} if method == "POST" else {})
    assert answer.status_code in (404, 405) and answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "x" * 255, "ü", " a ", "a,b;c\"'\\", "%00", "ключ".encode().decode("latin-1"), "'; DROP TABLE answers; --"]
)
def test_an_idempotency_key_of_any_characters_is_kept_or_refused(served, key):
    name = served("decoder").http.post("/v1/chat/completions", json=HELLO).json()["id"]
    sent = {"json": {"id": name, "rating": 1}, "headers": {"idempotency-key": key.encode("latin-1")}}
    first, again = (served("decoder").http.post("/v1/feedback", **sent) for _ in range(2))
    if 0 < len(key.strip()) <= 255:
        assert (first.status_code, again.status_code) == (201, 200) and first.json()["number"] == again.json()["number"]
    else:
        assert first.status_code == again.status_code == 400 and first.json()["error"]["param"] == "Idempotency-Key"


def events(text):
    return [part.removeprefix("data: ") for part in text.split("\n\n") if part]


def test_a_locked_store_keeps_no_answer_back_and_takes_no_feedback(served):
    server = served("decoder")
    name = server.http.post("/v1/chat/completions", json=HELLO).json()["id"]
    with locked(server.assistant.store.engine.url.database):
        begun = time.monotonic()
        plain = server.http.post("/v1/chat/completions", json=HELLO)
        streamed = server.http.post("/v1/chat/completions", json=HELLO | {"stream": True})
        told = [server.http.post("/v1/feedback", json={"id": each, "rating": 1}) for each in (name, plain.json()["id"])]
        assert time.monotonic() - begun < 12
        assert plain.status_code == 200 and events(streamed.text)[-1] == "[DONE]"
        assert json.loads(events(streamed.text)[-2])["choices"][0]["finish_reason"]
        assert [(each.status_code, each.json()["error"]["code"], each.headers["retry-after"]) for each in told] == 2 * [
            (503, "store_unavailable", "2")
        ]
        assert server.assistant.keeper.check()
    end = time.monotonic() + 15
    while server.assistant.keeper.waiting and time.monotonic() < end:
        time.sleep(0.05)
    assert plain.json()["id"] in {row["answer_id"] for row in server.kept()} and not server.assistant.keeper.check()
    assert server.http.post("/v1/feedback", json={"id": name, "rating": 1}).status_code == 201


def test_a_stream_whose_engine_fails_ends_with_an_error_and_done(served, monkeypatch):
    server = served("decoder")
    monkeypatch.setattr(server.assistant, "engine", Broken(server.assistant.engine))
    streamed = events(server.http.post("/v1/chat/completions", json=HELLO | {"stream": True}).text)
    assert streamed[-1] == "[DONE]" and json.loads(streamed[-2])["error"]["type"] == "server_error"
    assert "broke" not in streamed[-2]
    plain = server.http.post("/v1/chat/completions", json=HELLO)
    assert plain.status_code == 500 and plain.json()["error"]["type"] == "server_error"
    assert server.kept()[-1]["finish"] == "error"
    assert not server.app.state.slots.locked()


class Broken:
    """An engine that fails after one token."""

    def __init__(self, engine):
        self.engine = engine

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def __call__(self, requests):
        yield 0, 5
        raise RuntimeError("the engine broke")


def test_an_answer_that_ends_in_the_middle_of_a_character_is_whole_in_the_store(served, monkeypatch):
    server = served("decoder")
    tokens = [(0, token) for token in server.assistant.tokenizer("A 🌳", add_special_tokens=False)["input_ids"]]
    for end in range(1, len(tokens) + 1):
        monkeypatch.setattr(type(server.assistant.engine), "__call__", lambda self, requests, end=end: (yield from tokens[:end]))
        said = server.http.post("/v1/chat/completions", json=HELLO).json()["choices"][0]["message"]["content"]
        assert said == server.kept()[-1]["answer"] and "�" not in said and "A 🌳".startswith(said)


def test_an_answer_that_does_not_begin_has_an_end_and_gives_its_slot_back(served, monkeypatch):
    server = served("decoder")
    monkeypatch.setattr(shell, "ANSWER", 0.5)
    monkeypatch.setattr(server.assistant, "engine", Slow(server.assistant.engine))
    answer = server.http.post("/v1/chat/completions", json=HELLO)
    assert answer.status_code == 504 and answer.json()["error"]["code"] == "answer_too_slow"
    streamed = events(server.http.post("/v1/chat/completions", json=HELLO | {"stream": True}).text)
    assert streamed[-1] == "[DONE]" and json.loads(streamed[-2])["choices"][0]["finish_reason"], "what has begun may take its time"
    assert not server.app.state.slots.locked()


class Slow(Broken):
    """An engine that takes its time."""

    def __call__(self, requests):
        for token in range(5, 11):
            time.sleep(0.2)
            yield 0, token


def test_what_bentoml_would_count_log_or_stumble_over_does_not_reach_it():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["path"])

    client = TestClient(routes.Front(routes.create(), app))
    for path in ("/made/up", "/v1/models/made-up", "/%0alog line", "/metrics/x"):
        assert client.get(path).status_code in (404, 503)
    assert client.post("/classify", content=b"{}", headers={"content-type": b"\xff"}).status_code == 415
    assert not seen
