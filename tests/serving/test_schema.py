"""What a client may say: the server's own messages come back, values that ask for nothing pass, and what asks for something is refused."""

from dataclasses import fields

import pytest

from fmcycle.engine.protocol import Sampling
from fmcycle.serving.schema import Chat, Completion

HELLO = {"role": "user", "content": "What is a bucket?"}


def chat(served, **more):
    return served("decoder").http.post("/v1/chat/completions", json={"messages": [HELLO], "max_tokens": 4, **more})


@pytest.mark.parametrize("form", ["object", "dump", "wire"])
def test_the_message_that_the_server_gave_may_be_appended_to_the_history(served, form):
    client, messages = served("decoder").openai, [HELLO]
    message = client.chat.completions.create(model="fmcycle", messages=messages, max_tokens=4).choices[0].message
    dumped = message.model_dump() if form == "dump" else message.model_dump(exclude_unset=True)
    messages += [message if form == "object" else dumped, HELLO]
    assert client.chat.completions.create(model="fmcycle", messages=messages, max_tokens=4).id


@pytest.mark.parametrize("helper", ["parse", "stream"])
def test_the_message_of_the_clients_helpers_may_be_appended_too(served, helper):
    completions = served("decoder").openai.chat.completions
    asked = {"model": "fmcycle", "messages": [HELLO], "stop": [" "]}  # both helpers raise if the limit cuts an answer
    if helper == "parse":
        message = completions.parse(**asked).choices[0].message
    else:
        with completions.stream(**asked) as stream:
            message = stream.get_final_completion().choices[0].message
    for form in (message, message.model_dump()):
        assert completions.create(model="fmcycle", messages=[HELLO, form, HELLO], max_tokens=4).id


def test_a_developers_message_is_a_system_message(served):
    for role in ("developer", "system"):
        assert chat(served, messages=[{"role": role, "content": "Be brief."}, HELLO]).status_code == 200
        assert served("decoder").kept()[-1]["prompt"][0] == {"role": "system", "content": "Be brief."}
    assert chat(served, messages=[HELLO, {"role": "developer", "content": "Be brief."}, HELLO]).status_code == 400


def test_two_limits_that_differ_are_refused(served):
    assert chat(served, max_completion_tokens=4).status_code == 200
    answer = chat(served, max_completion_tokens=5)
    assert answer.status_code == 400 and "max_completion_tokens" in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", ["", None])
def test_an_empty_answer_may_be_appended_too(served, content):
    assert chat(served, messages=[HELLO, {"role": "assistant", "content": content, "refusal": None}, HELLO]).status_code == 200
    assert chat(served, messages=[{"role": "user", "content": content}]).status_code == 400
    assert chat(served, messages=[{"role": "user", "content": ""}]).status_code == 400


NEUTRAL = {
    "tools": [None, []],
    "tool_choice": [None, "none", "auto"],
    "functions": [None, []],
    "function_call": [None, "none"],
    "logit_bias": [None, {}],
    "parallel_tool_calls": [None, False, True],
    "logprobs": [None, False],
    "top_logprobs": [None, 0],
    "service_tier": [None, "auto", "default"],
    "modalities": [None, ["text"]],
    "response_format": [None, {"type": "text"}],
    "store": [None, False],
    "n": [None, 1],
    **{key: [None] for key in ("audio", "prediction", "reasoning_effort", "web_search_options", "stop", "user", "seed")},
    "safety_identifier": [None, "a"],
    "prompt_cache_key": [None, "a"],
    "prompt_cache_retention": [None, "in_memory"],
    "verbosity": [None, "medium"],
}


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_field_that_asks_for_nothing_passes(served, name):
    for value in NEUTRAL[name]:
        assert chat(served, **{name: value}).status_code == 200, value


ASKS = {
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "required",
    "functions": [{"name": "f"}],
    "logit_bias": {"1": 5},
    "logprobs": True,
    "top_logprobs": 3,
    "parallel_tool_calls": 0,
    "service_tier": "flex",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "x"},
    "reasoning_effort": "high",
    "prompt_cache_retention": "24h",
    "verbosity": "low",
    "store": True,
    "n": 2,
}


@pytest.mark.parametrize("name", ASKS)
def test_a_field_that_asks_for_what_the_server_does_not_do_is_refused_by_name(served, name):
    answer = chat(served, **{name: ASKS[name]})
    assert answer.status_code == 400 and answer.json()["error"]["param"].startswith(name)
    if name in Chat.neutral:
        assert f"{name}: not supported here; leave it out, or send null" in answer.json()["error"]["message"]


def test_what_another_model_called_or_refused_is_no_history_here(served):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    others = ({"refusal": "no"}, {"name": "bob"}, {"parsed": {}}, {"audio": {"id": "a"}}, {"function_call": {"name": "f", "arguments": ""}})
    for more in ({"tool_calls": [call]}, *others):
        answer = chat(served, messages=[HELLO, {"role": "assistant", "content": "x", **more}, HELLO])
        assert answer.status_code == 400 and next(iter(more)) in answer.json()["error"]["message"]


def test_neutral_values_pass_on_the_other_routes(served):
    for family, path, body in (
        ("decoder", "/v1/completions", {"prompt": ["The"], "max_tokens": 2, "suffix": None, "logit_bias": {}, "best_of": 1, "echo": False}),
        ("encoder", "/v1/embeddings", {"input": "x", "encoding_format": None, "dimensions": None, "user": None}),
        ("diffusion", "/v1/images/generations", {"prompt": "cat", "quality": "auto", "style": None, "stream": False, "background": "auto"}),
    ):
        assert served(family).http.post(path, json=body).status_code == 200, path


def test_every_number_of_a_request_reaches_the_engine_and_no_seed_is_a_random_one():
    said = {"temperature": 0.5, "top_p": 0.9, "seed": -3, "presence_penalty": 1.0, "frequency_penalty": -1.0}
    assert Completion(prompt="x", max_tokens=9, **said).sampling() == said
    assert {field.name for field in fields(Sampling)} - {"stop_ids"} <= set(Completion.model_fields)
    one, other = (Completion(prompt="x").sampling() for _ in range(2))
    assert list(one) == list(other) == ["seed"] and one != other
