"""Parses the body of a request, JSON or a form. Each error says what is wrong without repeating the user's text.

These functions run in threads: any body of 1 MB takes a tenth of a second at most.
"""

import difflib
import json
import re
from typing import Any

from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header

from fmcycle.serving.api_error import ApiError

DEPTH = 32  # of nested lists and objects; a valid request needs 7
VALUES = 20_000  # JSON values in a body; a conversation of 1,000 messages with parts has 11,000
DIGITS = 100  # of a whole number
PROBLEMS = 20  # in one error message
NAME = 64  # characters of a client's name in an error message
PARTS = 16  # in a form
HEADERS = 4096  # bytes of headers before the content of a part
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # an unterminated string reaches to the end, so no byte is read twice
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def read(schema: type[BaseModel], body: bytes) -> Any:
    """Parse `body` as `schema`. Raises ApiError 400 that names the field and says what is wrong with it."""
    _check_values(body)
    try:
        content = json.loads(body.decode("utf-8"), parse_int=_whole, parse_constant=_not_finite, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8 (byte {error.start})", "invalid_encoding") from None
    except json.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}", "invalid_json") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise ApiError(400, f"the body is not JSON that can be read: {error}", "invalid_json") from None
    if not isinstance(content, dict):
        raise ApiError(400, "the body must be a JSON object", "invalid_json")
    return _valid(schema, content)


def read_form(schema: type[BaseModel], kind: str, body: bytes, file: str) -> tuple[Any, bytes]:
    """Return (the fields of a multipart form as `schema`, the bytes of its field `file`). Raises ApiError 400 as `read` does.

    kind: the Content-Type header, which names the boundary.
    """
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise _no_form("Content-Type names no boundary of 1 to 70 characters")
    fields: dict[str, bytes] = {}
    files = []
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, PARTS + 2)
    for part in parts:
        if part.startswith(b"--"):
            break
        name, content, is_file = _part(part)
        if name in fields:
            raise ApiError(400, f"{_short(name)}: stands twice in the form", "duplicate_key", _short(name))
        fields[name] = content
        files += [name] if is_file else []
        if len(fields) > PARTS:
            raise _no_form(f"it has more than {PARTS} parts")
    else:
        raise _no_form("it ends before its last boundary")
    if files != [file]:
        raise ApiError(400, f"{file}: send one file under this name", "missing_file", file)
    content = fields.pop(file)
    try:
        return _valid(schema, {name: value.decode() for name, value in fields.items()}), content
    except UnicodeDecodeError:
        raise _no_form("a field is not UTF-8") from None


def _part(part: bytes) -> tuple[str, bytes, bool]:
    """Return (name, content, True for a file) of a part of a form."""
    head, ended, content = part.partition(b"\r\n\r\n")
    if not ended or len(head) > HEADERS or head.lstrip(b" \t")[:2] != b"\r\n":
        raise _no_form("a part has no headers, or too long ones")
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    value = next((value for name, _, value in lines if name.strip().lower() == b"content-disposition"), b"")
    options = parse_options_header(value.strip())[1]
    if b"name" not in options:
        raise _no_form("a part has no name")
    return options[b"name"].decode("utf-8", "replace"), content, b"filename" in options


def _no_form(why: str) -> ApiError:
    return ApiError(400, f"the body is no multipart form that can be read: {why}", "invalid_form")


def _check_values(body: bytes) -> None:
    """Raise ApiError for a body of more than VALUES values, before it is parsed."""
    if _marks(body) <= VALUES:
        return
    count = strings = end = 0
    for strings, found in enumerate(STRING.finditer(body)):
        count += _marks(body[end : found.start()])
        end = found.end()
        if max(count, strings // 2) > VALUES:
            break
    if max(count + _marks(body[end:]), strings // 2) > VALUES:
        raise ApiError(400, f"the body holds more than {VALUES} values", "too_many_values")


def _marks(text: bytes) -> int:
    """Count the characters that begin a value or separate two; `text` lies outside of strings."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _valid(schema: type[BaseModel], content: dict) -> Any:
    _check_texts(content)
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise _explained(schema, error) from None


def _check_texts(content: dict) -> None:
    """Raise ApiError for a body that is nested too deep and for a text that the store can't take; level by level, without recursion."""
    level: list = [content]
    for _ in range(DEPTH):
        if any(isinstance(node, str) and UNSTORABLE.search(node) for node in level):
            raise ApiError(400, "a text holds a NUL or half a surrogate pair, which no store and no tokenizer takes", "invalid_encoding")
        level = [inner for node in level if isinstance(node, dict | list) for inner in _inside(node)]
        if not level:
            return
    raise _too_deep()


def _inside(node: dict | list) -> list:
    return [*node, *node.values()] if isinstance(node, dict) else node


def _too_deep() -> ApiError:
    return ApiError(400, f"the body is nested more than {DEPTH} deep", "too_deep")


def _once(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        name = _short(next(name for name, _ in pairs if name in seen or seen.add(name)))  # type: ignore[func-returns-value]
        raise ApiError(400, f"{name}: stands twice in the body", "duplicate_key", name)
    return found


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number has more than {DIGITS} digits")
    return int(digits)


def _not_finite(name: str):
    raise ValueError(f"{name} is not a number that JSON has")


def _short(name: str) -> str:
    """Return a client's name for an error message: short, and in characters that UTF-8 can encode."""
    name = name[: NAME + 1].encode("utf-8", "replace").decode()
    return name if len(name) <= NAME else f"{name[:NAME]}..."


def _explained(schema: type[BaseModel], error: ValidationError) -> ApiError:
    lines, first = [], None
    items = error.errors(include_url=False, include_input=False, include_context=False)
    for item in items[:PROBLEMS]:
        param = ".".join(_short(str(part)) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            name = str(item["loc"][-1])
            near = difflib.get_close_matches(name, schema.model_fields, 1) if len(name) <= NAME else []
            message = "no such field here" + (f"; did you mean {near[0]}?" if near else "")
            if len(item["loc"]) == 1 and name in (neutral := getattr(schema, "neutral", {})):
                message = f"not supported here; leave it out, or send {' or '.join(map(json.dumps, (None, *neutral[name])))}"
        elif item["type"] == "union_tag_invalid":  # pydantic's own words repeat the text
            message = f"Input should be one of {message.rpartition('expected tags: ')[2]}"
        lines.append(f"{param}: {message}" if param else message)
        first = first or param or None
    more = [f"and {len(items) - PROBLEMS} problems more"] if len(items) > PROBLEMS else []
    return ApiError(400, "; ".join([*dict.fromkeys(lines), *more]), "invalid_value", first)
