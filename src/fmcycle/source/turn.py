"""Convert conversations of common formats to messages of {role, content}: content parts, tool calls and reasoning become text.

Tools, calls and results are written as Hermes and Qwen write them (<tools>, <tool_call>, <tool_response>), reasoning as <think>.
"""

import json

from fmcycle.processor.tools import TOOLS

ROLES = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user", "assistant": "assistant",
    "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "ai": "assistant", "model": "assistant", "tool": "tool",
    "function": "tool", "observation": "tool", "tool_response": "tool", "function_response": "tool", "ipython": "tool",
    "function_call": "call", "tool_call": "call",
}  # fmt: skip
SPEAKER, SAID, COUNTS = (
    ("role", "from", "speaker"),
    ("content", "value", "parts", "text"),
    ("weight", "train", "loss", "train_on_turn", "trainable"),
)
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
USED = {*SPEAKER, *SAID, *COUNTS, *THOUGHTS, "tool_calls", "function_call", "refusal"}
MEANT = {"image", "images", "audio", "audios", "video", "videos", "file", "files", "documents", "context", "train_detail", "mask"}
EMPTY: tuple = (None, "", [], {})


def given(values: dict) -> dict:
    """The keys of a row or a message whose values are neither null nor empty."""
    return {key: value for key, value in values.items() if value not in EMPTY}


def parsed(value):
    """The value of JSON text, which cells of CSV hold; anything else unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value, strict=False)
        except (ValueError, RecursionError):
            return value
    return value


def turns(value, name: str, unread: set[str]) -> list[dict]:
    """The messages of the column `name`, each {role, content, counts, of}; adds their unread keys to `unread`.

    Raises ValueError that names the invalid message and the reason.
    """
    value = parsed(value)
    if isinstance(value, dict):
        value = value.get("messages", [value])
    if not isinstance(value, list) or not value:
        raise ValueError(f"{name} is empty or not a list of messages")
    found: list[dict] = []
    for place, message in enumerate(value, 1):
        try:
            turn = one(message, name, unread)
        except ValueError as error:
            raise ValueError(f"{name}: message {place}: {error}") from None
        if turn:
            append(found, turn)
    return found


def append(found: list[dict], turn: dict) -> None:
    """Append a turn, or merge it with the last: a template takes a system prompt, tool results, or text and its calls as one turn."""
    last = found[-1] if found else {"role": "", "of": ""}
    if last["role"] == turn["role"] and (turn["role"] == "system" or (turn["of"] == last["of"] == "tool") or turn["of"] == "call"):
        gap = "\n\n" if turn["role"] == "system" else "\n"
        found[-1] = {**turn, "content": f"{last['content']}{gap}{turn['content']}", "of": last["of"]}
    else:
        found.append(turn)


def one(message, name: str, unread: set[str]) -> dict | None:
    """Convert a message to a turn; None for an empty system prompt."""
    if not isinstance(message, dict):
        raise ValueError(f"not {{role, content}} but {type(message).__name__}")
    known = given(message)
    said = next((known[key] for key in SPEAKER if key in known), None)
    kind = ROLES.get(str(said).strip().lower())
    if kind is None:
        raise ValueError("no role" if said is None else f"role {said!r} is not one of system, developer, user, assistant, tool")
    if meant := sorted(MEANT & {*known}):
        raise ValueError(f"its {meant[0]} is not read, but is part of the prompt or decides which turns are trained on")
    unread |= {f"{name}.{key}" for key in known if key not in USED}
    value = next((known[key] for key in SAID if key in known), "")
    text, thought = content(value, kind)
    thought = next((known[key] for key in THOUGHTS if key in known), thought)
    text = text or known.get("refusal", "")
    calling = text if kind == "call" else known.get("tool_calls") or known.get("function_call") or []
    parts = [*([text] if text and kind != "call" else []), *calls(calling)]
    if kind == "tool":
        parts = [f"<tool_response>\n{text}\n</tool_response>"]
    role = {"tool": "user", "call": "assistant"}.get(kind, kind)
    if role != "assistant" and (thought or len(parts) > 1):
        raise ValueError(f"reasoning or tool calls in a message of the {role}")
    if not parts:
        if role == "system":
            return None
        raise ValueError(f"the {role}'s message is empty")
    if isinstance(parts[0], bytes):
        return {"role": role, "content": parts[0], "counts": True, "of": kind}
    before = f"<think>\n{str(thought).strip()}\n</think>\n\n" if thought else ""
    return {"role": role, "content": before + "\n".join(parts), "counts": counts(message), "of": kind}


def counts(message: dict) -> bool:
    """True if an answer is trained on. Raises ValueError for a weight other than 0 and 1."""
    for key in COUNTS:
        if (value := message.get(key)) is not None:
            if value not in (0, 1):
                raise ValueError(f"{key} {value!r} is neither 0 nor 1: a turn is trained on or not")
            return bool(value)
    return True


def content(value, kind: str) -> tuple:
    """(text, reasoning) of a message's content, a string or a list of parts. Raises ValueError for a part that is not text."""
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list):
        if not isinstance(value, str | bytes):
            raise ValueError(f"its content is not text but {type(value).__name__}")
        return value, ""
    texts, thoughts = [], []
    for part in value:
        part = {"text": part} if isinstance(part, str) else part
        named = given(part) if isinstance(part, dict) else {}
        sort = named.get("type", "text")
        if sort in ("text", "input_text", "output_text", "refusal"):
            found = named.get("refusal" if sort == "refusal" else "text")
            if kind == "tool" and not isinstance(found, str):  # a tool's result that is data
                return json.dumps(bare(value if len(value) > 1 else value[0]), ensure_ascii=False), ""
            texts.append(found if isinstance(found, str) else "")
        elif sort in ("thinking", "reasoning"):
            thoughts.append(str(named.get("thinking") or named.get("reasoning") or named.get("text", "")))
        else:
            raise ValueError(f"a part of the type {sort} is not read")
    return "".join(texts), "\n".join(thoughts)


def calls(value) -> list[str]:
    """Tool calls as text, one string each. Raises ValueError for a call without a name."""
    value = parsed(value)
    found = []
    for call in value if isinstance(value, list) else [value]:
        function = call.get("function") or call if isinstance(call, dict) else {}
        function = parsed(function)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ValueError("a tool call without a name")
        arguments = parsed(function.get("arguments", function.get("parameters")) or {})
        text = json.dumps({"name": function["name"], "arguments": bare(arguments)}, ensure_ascii=False)
        found.append(f"<tool_call>\n{text}\n</tool_call>")
    return found


def tools(value, name: str) -> str:
    """The system prompt that describes the tools of the column `name`. Raises ValueError if it is not a list of functions."""
    value = parsed(value)
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise ValueError(f"{name} is not a list of functions")
    functions = (bare(tool) if "function" in tool or "type" in tool else {"type": "function", "function": bare(tool)} for tool in value)
    return TOOLS.format("\n".join(json.dumps(function, ensure_ascii=False) for function in functions))


def bare(value):
    """Data without nulls: a table has one type for all rows, and fills in null for the keys that a row lacks."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if inner is not None}
    return [bare(inner) for inner in value] if isinstance(value, list) else value
