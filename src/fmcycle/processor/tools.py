"""Tools of a conversation: the text in which tables hold them, and the structured messages of templates that take `tools`.

In tables a tool's description, call and result are text of a message as Hermes and Qwen write them (<tools>, <tool_call>, <tool_response>).
"""

import json
import re
from collections.abc import Callable

TOOLS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
HEAD, TAIL = map(re.escape, TOOLS.format("\0").split("\n\0\n"))
DESCRIBED = re.compile(rf"(?:\A|\n\n){HEAD}\n(.+?)\n{TAIL}", re.S)
CALL, RESULT = r"<tool_call>\n([^\n]+)\n</tool_call>", r"<tool_response>\n(.*?)\n</tool_response>"
CALLS = re.compile(rf"(?:\A|\n)(?:{CALL}(?:\n|\Z))+\Z")
RESULTS = re.compile(rf"(?:{RESULT}(?:\n|\Z))+\Z", re.S)
Turn = list[dict]  # what one message becomes: several results are several messages, a system message of tools alone is none


def takes_tools(template: str) -> bool:
    """True if a chat template writes the tools that it is given."""
    return bool(re.search(r"\btools\b", template))


def structured(messages: list[dict]) -> tuple[list[Turn], list[dict]]:
    """(each message as messages of OpenAI's form, the tools); the same messages and no tools if no system message describes tools."""
    found = next((match for each in messages if each["role"] == "system" and (match := DESCRIBED.search(each["content"]))), None)
    try:
        tools = [json.loads(line) for line in found[1].split("\n")] if found else []
        if any(not isinstance(tool["function"]["name"], str) for tool in tools):
            tools = []
        return [turn(messages, place) for place in range(len(messages))] if tools else [[each] for each in messages], tools
    except (ValueError, KeyError, TypeError):
        return [[each] for each in messages], []


def turn(messages: list[dict], place: int) -> Turn:
    """One message in OpenAI's form. Raises ValueError for a call that is not JSON, KeyError for one without a name."""
    message, text = messages[place], messages[place]["content"]
    if message["role"] == "system":
        text = DESCRIBED.sub("", text)
        return [message | {"content": text}] if text.strip() else []
    if message["role"] == "assistant" and (found := CALLS.search(text)):
        calls = [json.loads(call) for call in re.findall(CALL, found[0])]
        functions = [{"name": call["name"], "arguments": call["arguments"]} for call in calls]
        named = [{"id": identity(place, number), "type": "function", "function": each} for number, each in enumerate(functions)]
        return [message | {"content": text[: found.start()], "tool_calls": named}]
    if message["role"] == "user" and place and CALLS.search(messages[place - 1]["content"]) and RESULTS.match(text):
        called = re.findall(CALL, messages[place - 1]["content"])
        names = [json.loads(call)["name"] for call in called]
        results = re.findall(RESULT, text, re.S)
        return [
            {"role": "tool", "content": result, "tool_call_id": identity(place - 1, number)}
            | ({"name": names[number]} if number < len(names) else {})
            for number, result in enumerate(results)
        ]
    return [message]


def identity(place: int, number: int) -> str:
    """The id of a call: nine letters and digits, as Mistral's template asks for."""
    return f"call{place % 1000:03d}{number % 100:02d}"


def each_text(value, change: Callable[[str], str]):
    """Plain data with every string changed, but not the keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: each_text(inner, change) for key, inner in value.items()}
    return [each_text(inner, change) for inner in value] if isinstance(value, list) else value
