import json

import pytest

from fmcycle.source.shape import ours
from fmcycle.source.turn import tools, turns

LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def said(messages, **columns):
    """(messages, masked) of a row."""
    row = ours({"messages": messages, **columns})[2]
    return row["messages"], row["masked"]


def test_tools_their_calls_and_results_stand_in_the_text_as_hermes_writes_them():
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "kiln"}'}}
    messages = [
        {"role": "user", "content": "Is it hot?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "1200 degrees"},
        {"role": "assistant", "content": "Very."},
    ]
    found, masked = said(messages, tools=[LOOK])
    assert [turn["role"] for turn in found] == ["system", "user", "assistant", "user", "assistant"] and masked is None
    assert json.dumps(LOOK) in found[0]["content"] and found[0]["content"].startswith("# Tools")
    assert found[2]["content"] == 'Let me look.\n<tool_call>\n{"name": "look", "arguments": {"at": "kiln"}}\n</tool_call>'
    assert found[3]["content"] == "<tool_response>\n1200 degrees\n</tool_response>"
    assert said([turn | {"content": turn["content"] or ""} for turn in messages], tools=json.dumps([LOOK]))[0] == found
    old = [
        turn if "tool_calls" not in turn else {"role": "assistant", "content": turn["content"], "function_call": call["function"]}
        for turn in messages
    ]
    assert said(old, functions=[LOOK["function"]])[0] == found
    shared = [
        {"from": "human", "value": "Is it hot?"},
        {"from": "gpt", "value": "Let me look."},
        {"from": "function_call", "value": '{"name": "look", "arguments": {"at": "kiln"}}'},
        {"from": "observation", "value": "1200 degrees"},
        {"from": "gpt", "value": "Very."},
    ]
    assert said(shared, tools=json.dumps([LOOK]))[0] == found


def test_a_call_without_words_is_an_answer_and_several_results_are_one_turn():
    call = {"function": {"name": "look", "arguments": {"at": 1, "where": None}}}
    messages = [
        {"role": "user", "content": "Both?"},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "content": {"degrees": 7}},
        {"role": "tool", "content": "8"},
        {"role": "assistant", "content": "7 and 8."},
    ]
    found, _ = said(messages)
    assert found[1]["content"].count("<tool_call>") == 2 and "where" not in found[1]["content"]
    assert found[2]["content"] == '<tool_response>\n{"degrees": 7}\n</tool_response>\n<tool_response>\n8\n</tool_response>'
    with pytest.raises(ValueError, match="message 2: a tool call without a name"):
        said([messages[0], {"role": "assistant", "tool_calls": [{"function": {}}]}, *messages[2:]])
    with pytest.raises(ValueError, match="tools is not a list of functions"):
        tools("look", "tools")


def test_thoughts_stand_before_their_answer_wherever_they_were():
    asked = {"role": "user", "content": "Why?"}
    forms = [
        {"role": "assistant", "content": "So.", "reasoning_content": "Hm."},
        {"role": "assistant", "content": "So.", "thinking": "Hm.\n"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "So."}]},
    ]
    for form in forms:
        assert said([asked, form])[0][1]["content"] == "<think>\nHm.\n</think>\n\nSo."
    assert ours({"prompt": "Why?", "completion": "So.", "reasoning": "Hm."})[2]["messages"][1]["content"] == "<think>\nHm.\n</think>\n\nSo."


def test_turns_that_do_not_count_are_masked_and_what_follows_the_last_that_does_is_cut():
    def turn(role, **more):
        return {"role": role, "content": role, **more}

    messages = [
        turn("user"),
        turn("assistant", weight=0),
        turn("user"),
        turn("assistant", weight=1),
        turn("user"),
        turn("assistant", weight=0),
    ]
    found, masked = said(messages)
    assert len(found) == 4 and masked == [1]
    assert said(messages, system="Be brief.")[1] == [2]
    prompt = [turn("user"), turn("assistant"), turn("user")]
    assert ours({"prompt": prompt, "completion": [turn("assistant")]})[2]["masked"] == [1]
    assert said([turn("user"), turn("assistant", train=False), turn("user"), turn("assistant", train=True)])[1] == [1]


def test_text_comes_through_as_it_is():
    code = "    if a < b and c ** 2 >= d:\r\n\treturn '\U0001f469\u200d\U0001f680'\n\n\n    return a"
    (turn,) = turns(
        [{"role": "user", "content": [{"type": "text", "text": code[:9]}, {"type": "text", "text": code[9:]}]}], "messages", set()
    )
    assert turn["content"] == code
    assert turns([{"role": "user", "parts": [{"text": code}]}], "messages", set())[0]["content"] == code
