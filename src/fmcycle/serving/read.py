"""From the bytes of a request to what it asks: JSON or a form, and each refusal says why without repeating the user's text."""

import difflib
import json
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from fmcycle.serving.refusal import ApiError


def read(schema: type[BaseModel], body: bytes) -> Any:
    """`body` as `schema`. Raises ApiError 400 that names the field and says what is wrong with it."""
    try:
        content = json.loads(body.decode("utf-8"), parse_constant=_not_finite)
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8 (byte {error.start})", "invalid_encoding") from None
    except json.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}", "invalid_json") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON that can be read: {error}", "invalid_json") from None
    if not isinstance(content, dict):
        raise ApiError(400, "the body must be a JSON object", "invalid_json")
    return _valid(schema, content)


async def read_form(schema: type[BaseModel], request: Request, file: str) -> tuple[Any, bytes]:
    """(the fields of a multipart form as `schema`, the bytes of its file, the field `file`). Raises ApiError 400 as `read` does."""
    try:
        async with request.form(max_files=1, max_fields=16) as form:
            given = form.multi_items()
            fields = {name: value for name, value in given if isinstance(value, str)}
            files = [(name, await value.read()) for name, value in given if isinstance(value, UploadFile)]
    except HTTPException as error:
        raise ApiError(400, f"the body is no multipart form that can be read: {error.detail}", "invalid_form") from None
    if len(fields) + len(files) < len(given):
        raise ApiError(400, "the form names a field twice", "invalid_form")
    if [name for name, _ in files] != [file]:
        raise ApiError(400, f"{file}: send one file under this name", "missing_file", file)
    return _valid(schema, fields), files[0][1]


def _valid(schema: type[BaseModel], content: dict) -> Any:
    if any("\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text) for text in _texts(content)):
        raise ApiError(400, "a text holds a NUL or half a surrogate pair, which no store and no tokenizer takes", "invalid_encoding")
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise _explained(schema, error) from None


def _texts(node) -> list[str]:
    if isinstance(node, dict):
        return [text for pair in node.items() for item in pair for text in _texts(item)]
    if isinstance(node, list):
        return [text for item in node for text in _texts(item)]
    return [node] if isinstance(node, str) else []


def _not_finite(name: str):
    raise ValueError(f"{name} is not a number that JSON has")


def _explained(schema: type[BaseModel], error: ValidationError) -> ApiError:
    lines, first = [], None
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        param = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(item["loc"][-1]), schema.model_fields, 1)
            message = "no such field here" + (f"; did you mean {near[0]}?" if near else "")
        lines.append(f"{param}: {message}" if param else message)
        first = first or param or None
    return ApiError(400, "; ".join(dict.fromkeys(lines)), "invalid_value", first)
