"""What a client may ask, in OpenAI's form: closed, finite, and each refusal says why without repeating the user's text."""

import difflib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

Text = Annotated[str, StringConstraints(max_length=200_000)]


class ApiError(Exception):
    """An answer in OpenAI's error form."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(code)
        self.status, self.headers = status, headers or {}
        kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Part(Closed):
    type: Literal["text"]
    text: Text


class Message(Closed):
    role: Literal["system", "user", "assistant"]
    content: Text | list[Part]
    name: None = None

    def plain(self) -> dict[str, str]:
        """{"role", "content"} with the content as one text."""
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": self.role, "content": content}


class StreamOptions(Closed):
    include_usage: bool = False
    include_obfuscation: bool = False


class Plain(Closed):
    type: Literal["text"]


class Sampling(Closed):
    """What chat and plain completions share. Fields that can have one value only are there to be refused with a reason."""

    model: str = ""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    user: Text | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None

    @field_validator("stop")
    @classmethod
    def _stops(cls, value):
        stops = [value] if isinstance(value, str) else value or []
        if len(stops) > 4 or not all(0 < len(stop) <= 256 for stop in stops):
            raise ValueError("at most 4 stop strings of 1 to 256 characters")
        return stops


class Chat(Sampling):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    response_format: Plain | None = None
    logprobs: Literal[False] | None = None
    store: Literal[False] | None = None
    metadata: dict[str, str] | None = None

    @model_validator(mode="after")
    def _order(self):
        if any(message.role == "system" for message in self.messages[1:]):
            raise ValueError("messages: a system message may only be the first")
        if self.messages[-1].role != "user":
            raise ValueError("messages: the last must be the user's")
        if any(not message.plain()["content"].strip() for message in self.messages):
            raise ValueError("messages: a content is empty")
        return self

    def limit(self) -> int | None:
        """How many tokens the answer may have, where the client says so."""
        return self.max_completion_tokens or self.max_tokens


class Completion(Sampling):
    """POST /v1/completions: the model goes on with a text, without a template."""

    prompt: Annotated[Text, Field(min_length=1)]
    echo: Literal[False] | None = None
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None
    logprobs: None = None
    suffix: None = None

    def limit(self) -> int | None:
        """How many tokens the answer may have; 16 where the client does not say, as OpenAI has it."""
        return self.max_tokens or 16


class Feedback(Closed):
    """POST /v1/feedback: what a person says about an answer."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    rating: Literal[-1, 0, 1] = 0
    comment: Annotated[str, Field(max_length=10_000)] = ""
    corrected: Annotated[str, Field(max_length=50_000)] = ""
    preferred: Literal["", "answer", "corrected"] = ""
    role: Annotated[str, Field(max_length=64)] = "user"

    @model_validator(mode="after")
    def _says_something(self):
        if not (self.rating or self.comment.strip() or self.corrected.strip() or self.preferred):
            raise ValueError("give at least one of rating, comment, corrected, preferred")
        if self.preferred and not self.corrected.strip():
            raise ValueError("preferred compares the answer with `corrected`: give that too")
        return self


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
