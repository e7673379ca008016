"""Whatever a body of 1 MB holds: it is told what is wrong with it, soon, in OpenAI's form, in few words."""

import json
import time

import families
import hostile
import pytest

from fmcycle.serving.request import PROBLEMS

SECONDS = 2.0  # of the processor for one body; 0.1 is usual, a busy machine takes more, a quadratic search many times it


def told(http, path, content, kind="application/json"):
    """The error that a body gets, after what holds for every one."""
    begun = time.process_time()
    answer = http.post(path, content=content, headers={"content-type": kind})
    spent = time.process_time() - begun
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:500])
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
    assert spent < SECONDS, spent
    assert len(answer.content) < 10_000
    return error


@pytest.mark.parametrize("path", hostile.ROUTES)
def test_a_hostile_body_is_told_what_is_wrong_and_holds_nobody_up(served, path):
    server = served(hostile.ROUTES[path][0])
    before = len(server.kept())
    for name, body in hostile.bodies(path).items():
        if "picture" in name and path in ("/v1/embeddings", "/classify"):
            continue  # those are told by the model, which the tests of the routes try
        try:
            told(server.http, path, body)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    assert len(server.kept()) == before


def test_a_hostile_form_is_told_what_is_wrong(served):
    for name, body in hostile.FORMS.items():
        try:
            told(served("speech").http, "/v1/audio/transcriptions", body, "multipart/form-data; boundary=b")
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def chat(served, more):
    content = json.dumps({"messages": [{"role": "user", "content": "x"}]})[:-1] + more + "}"
    return told(served("decoder").http, "/v1/chat/completions", content.encode())


def test_at_most_twenty_problems_are_said(served):
    message = chat(served, "," + hostile.fields(300))["message"]
    assert message.count("no such field") == PROBLEMS == 20 and message.endswith("and 280 problems more")
    assert "values" in chat(served, "," + hostile.fields(45_000))["message"]


@pytest.mark.parametrize("depth", [33, 480, 900, 100_000])
def test_what_is_nested_too_deep_is_refused_by_a_limit(served, depth):
    assert chat(served, f',"user":{hostile.nested(depth)}')["code"] == ("too_deep" if depth < 20_000 else "too_many_values")


def test_what_is_nested_within_the_limit_is_checked_as_everything(served):
    assert "user" in chat(served, f',"user":{hostile.nested(30)}')["message"]


@pytest.mark.parametrize("name", ["max_tokens", "max\\u005ftokens"])
def test_a_key_that_stands_twice_is_named(served, name):
    error = chat(served, f',"max_tokens":2,"{name}":5')
    assert error["param"] == "max_tokens" and error["message"].startswith("max_tokens: stands twice")
    assert chat(served, ',"metadata":{"a":"1","a":"1"}')["param"] == "a"


def test_a_field_that_stands_twice_in_a_form_is_named(served):
    answer = served("speech").http.post(
        "/v1/audio/transcriptions", files=[("file", ("a.wav", families.WAV)), ("model", (None, "fmcycle")), ("model", (None, "fmcycle"))]
    )
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "model"


def test_no_message_repeats_a_long_name(served):
    error = chat(served, f',"{"secret" * 1000}":1')
    assert len(error["message"]) < 200 and len(error["param"]) < 100


def test_texts_of_1_mb_beyond_the_context_are_told_so_without_reading_them_all(served):
    for text in ("a" * 199_000, "word " * 39_000, "世" * 66_000, "\U0001f333 " * 30_000, "<|end|>" * 28_000):
        messages = [{"role": ("user", "assistant")[number % 2], "content": text} for number in range(3)]
        content = json.dumps({"messages": messages}, ensure_ascii=False).encode()
        assert told(served("decoder").http, "/v1/chat/completions", content)["code"] == "context_length_exceeded"
        content = json.dumps({"prompt": text}).encode()
        assert told(served("decoder").http, "/v1/completions", content)["code"] == "context_length_exceeded"
