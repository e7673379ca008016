"""Every method on every path answers in OpenAI's form, and a store that is away takes no answer with it."""

import asyncio
import json
import time

import families
import pytest
from starlette.testclient import TestClient
from stores import locked

from fmcycle.serving import answer, middleware, routes

HELLO = {"messages": [{"role": "user", "content": "What is a bucket?"}], "max_tokens": 4}
PATHS = {
    "/": "GET",
    "/page/page.js": "GET",
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


@pytest.mark.parametrize("path", ["/", "/page/page.css", "/v1/models", "/v1/models/fmcycle"])
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
    monkeypatch.setattr(server.assistant, "engine", Said(server.assistant.engine, [5], breaks=True))
    streamed = events(server.http.post("/v1/chat/completions", json=HELLO | {"stream": True}).text)
    assert streamed[-1] == "[DONE]" and json.loads(streamed[-2])["error"]["type"] == "server_error"
    assert "broke" not in streamed[-2]
    plain = server.http.post("/v1/chat/completions", json=HELLO)
    assert plain.status_code == 500 and plain.json()["error"]["type"] == "server_error"
    assert server.kept()[-1]["finish"] == "error"
    assert server.assistant.engine.aborted == 2


class Said:
    """An engine that says `tokens`, one each `seconds`, and fails at the end if it `breaks`."""

    def __init__(self, engine, tokens, seconds=0.0, breaks=False):
        self.engine, self.tokens, self.seconds, self.breaks = engine, tokens, seconds, breaks
        self.aborted = 0

    def __getattr__(self, name):
        return getattr(self.engine, name)

    async def submit(self, request):
        return request

    async def stream(self, handle):
        for token in self.tokens:
            await asyncio.sleep(self.seconds)
            yield token
        if self.breaks:
            raise RuntimeError("the engine broke")

    async def abort(self, handle):
        self.aborted += 1


def test_an_answer_that_ends_in_the_middle_of_a_character_is_whole_in_the_store(served, monkeypatch):
    server = served("decoder")
    engine, tokens = server.assistant.engine, server.assistant.tokenizer("A 🌳", add_special_tokens=False)["input_ids"]
    for end in range(1, len(tokens) + 1):
        monkeypatch.setattr(server.assistant, "engine", Said(engine, tokens[:end]))
        said = server.http.post("/v1/chat/completions", json=HELLO).json()["choices"][0]["message"]["content"]
        assert said == server.kept()[-1]["answer"] and "�" not in said and "A 🌳".startswith(said)


def test_an_answer_that_does_not_begin_has_an_end_and_gives_its_place_back(served, monkeypatch):
    server = served("decoder")
    monkeypatch.setattr(middleware, "ANSWER", 0.5)
    monkeypatch.setattr(server.assistant, "engine", Said(server.assistant.engine, range(5, 11), seconds=0.2))
    plain = server.http.post("/v1/chat/completions", json=HELLO)
    assert plain.status_code == 504 and plain.json()["error"]["code"] == "answer_too_slow"
    streamed = events(server.http.post("/v1/chat/completions", json=HELLO | {"stream": True}).text)
    assert streamed[-1] == "[DONE]" and json.loads(streamed[-2])["choices"][0]["finish_reason"], "what has begun may take its time"
    assert server.assistant.engine.aborted == 2


def test_a_request_for_which_there_is_no_place_is_told_to_come_back(served, monkeypatch):
    server = served("decoder")
    monkeypatch.setattr(answer, "WAIT", 0.2)
    monkeypatch.setattr(server.assistant, "engine", Full(server.assistant.engine, []))
    plain = server.http.post("/v1/chat/completions", json=HELLO)
    assert plain.status_code == 503 and plain.json()["error"]["code"] == "overloaded" and plain.headers["retry-after"]
    streamed = events(server.http.post("/v1/chat/completions", json=HELLO | {"stream": True}).text)
    assert streamed[-1] == "[DONE]" and json.loads(streamed[-2])["error"]["code"] == "overloaded"


class Full(Said):
    """An engine that never has a place."""

    async def submit(self, request):
        await asyncio.Event().wait()


def test_a_guard_a_decoder_and_a_store_that_take_their_time_block_nobody_else(served, monkeypatch):
    """Each is slow in a thread of its own while the event loop goes on."""
    server, longest = served("decoder"), [0.0]

    def slow(text):
        time.sleep(0.3)
        return text

    async def watched(scope, receive, send):
        async def watch():
            while True:
                begun = time.monotonic()
                await asyncio.sleep(0.01)
                longest[0] = max(longest[0], time.monotonic() - begun)

        watching = asyncio.create_task(watch())
        await server.app(scope, receive, send)
        watching.cancel()

    monkeypatch.setattr(server.assistant.pipeline, "guardrail", {"input": [slow], "output": [slow]})
    client = TestClient(watched, base_url="http://test/")
    assert client.post("/v1/chat/completions", json=HELLO | {"max_tokens": 1}).status_code == 200
    assert 0 < longest[0] < 0.25


@pytest.mark.parametrize("stream", [False, True])
def test_a_limit_in_the_middle_of_a_character_leaves_it_out_of_the_answer_and_the_store(served, stream):
    asked, said = "Emoji?", families.ANSWERS["Emoji?"]
    server, lengths = served("talker"), set()
    for limit in range(1, 24):
        body = {"messages": [{"role": "user", "content": asked}], "max_tokens": limit, "stream": stream}
        answer = server.http.post("/v1/chat/completions", json=body)
        if stream:
            events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
            text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
        else:
            text = answer.json()["choices"][0]["message"]["content"]
        assert said.startswith(text) and server.kept()[-1]["answer"] == text
        lengths.add(len(text))
    assert text == said and len(lengths) < 23  # some limits lay inside a character


def test_the_page_has_no_file_beyond_its_folder(served):
    http = served("decoder").http
    assert http.get("/page/page.css").text.startswith(":root") and http.get("/page/page.css").headers["content-type"].startswith("text/css")
    for name in ("routes.py", "..%2froutes.py", "%2e%2e/routes.py", "", "x" * 5000):
        assert http.get(f"/page/{name}").status_code == 404


def test_what_bentoml_would_count_log_or_stumble_over_does_not_reach_it():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["path"])

    client = TestClient(routes.Front(routes.create(), app))
    for path in ("/made/up", "/v1/models/made-up", "/%0alog line", "/metrics/x"):
        assert client.get(path).status_code in (404, 503)
    assert client.post("/classify", content=b"{}", headers={"content-type": b"\xff"}).status_code == 415
    assert not seen
