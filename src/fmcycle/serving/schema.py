"""The schemas of requests, in OpenAI's form: closed and finite."""

import base64
import binascii
import random
import re
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from fmcycle.engine.protocol import Sampling

Text = Annotated[str, StringConstraints(max_length=200_000)]
Neutral = dict[str, tuple[Any, ...]]
DATA_URL = re.compile(r"data:image/(?:png|jpeg|webp|gif|bmp);base64,", re.ASCII)


class Closed(BaseModel):
    """Allows only its own fields. `neutral` lists OpenAI's other fields with the values that change nothing; null is always one."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    neutral: ClassVar[Neutral] = {}

    @model_validator(mode="before")
    @classmethod
    def _asks(cls, given):
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if not _among(value, cls.neutral.get(name))}


def _among(value: Any, neutral: tuple[Any, ...] | None) -> bool:
    if neutral is None:
        return False
    return value is None or any(type(value) is type(each) and value == each for each in neutral)  # 0 is not False


class TextPart(Closed):
    type: Literal["text"]
    text: Text


class ImageUrl(Closed):
    url: str
    detail: Literal["auto"] | None = None

    @field_validator("url")
    @classmethod
    def _data(cls, value):
        if not DATA_URL.match(value):
            raise ValueError("the server fetches nothing: send the picture itself as data:image/png;base64,... (or jpeg, webp, gif, bmp)")
        decoded(value.partition(",")[2])
        return value


class ImagePart(Closed):
    type: Literal["image_url"]
    image_url: ImageUrl


class Message(Closed):
    neutral: ClassVar[Neutral] = {
        "annotations": ([],),
        "audio": (),
        "function_call": (),
        "name": ("",),
        "parsed": (),  # of the message that the OpenAI client's `parse` and `stream` return
        "reasoning_content": ("",),
        "refusal": (),
        "tool_calls": ([],),
    }

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]

    @model_validator(mode="before")
    @classmethod
    def _same(cls, given):
        """A developer's message is a system message under OpenAI's newer name; an answer without content is an empty one."""
        if not isinstance(given, dict):
            return given
        if given.get("role") == "developer":
            return given | {"role": "system"}
        return given | {"content": ""} if given.get("role") == "assistant" and given.get("content") is None else given

    def plain(self) -> dict[str, str]:
        """Return {"role", "content"} with the joined texts of the content."""
        content = (
            self.content if isinstance(self.content, str) else "".join(part.text for part in self.content if isinstance(part, TextPart))
        )
        return {"role": self.role, "content": content}

    def images(self) -> list[bytes]:
        """Return the images of the content, in their order."""
        parts = [] if isinstance(self.content, str) else self.content
        return [decoded(part.image_url.url.partition(",")[2]) for part in parts if isinstance(part, ImagePart)]


class StreamOptions(Closed):
    include_usage: bool = False
    include_obfuscation: bool = False


class Plain(Closed):
    type: Literal["text"]


class Words(Closed):
    """The fields of chats and completions. A field that allows one value only is here so that other values get a reason."""

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

    def sampling(self) -> dict[str, Any]:
        """Return the fields of the engine's `Sampling` that the client gives, without the length. Without a seed it draws one."""
        names = {each.name for each in fields(Sampling)} - {"max_tokens"}
        said = {name: value for name in names if (value := getattr(self, name, None)) is not None}
        return {"seed": random.getrandbits(63)} | said


class Chat(Words):
    """POST /v1/chat/completions."""

    neutral: ClassVar[Neutral] = dict.fromkeys(("audio", "moderation", "prediction", "web_search_options"), ()) | {
        "function_call": ("none", "auto"),
        "functions": ([],),
        "logit_bias": ({},),
        "modalities": (["text"],),
        "parallel_tool_calls": (True, False),
        "prompt_cache_options": (),
        "prompt_cache_retention": ("in_memory",),
        "reasoning_effort": ("none",),
        "service_tier": ("auto", "default"),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
        "verbosity": ("medium",),
    }

    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    response_format: Plain | None = None
    logprobs: Literal[False] | None = None
    store: Literal[False] | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None

    @model_validator(mode="after")
    def _order(self):
        if any(message.role == "system" for message in self.messages[1:]):
            raise ValueError("messages: a system message may only be the first")
        if self.messages[-1].role != "user":
            raise ValueError("messages: the last must be the user's")
        empty = (message for message in self.messages if not message.plain()["content"].strip() and not message.images())
        if any(message.role != "assistant" for message in empty):  # an answer may be empty and returns in the history
            raise ValueError("messages: a content is empty")
        if any(message.images() for message in self.messages if message.role != "user"):
            raise ValueError("messages: pictures may stand in the user's messages only")
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are two names of one limit and differ: give one of them")
        return self

    def limit(self) -> int | None:
        """Return the length of the answer that the client names, in tokens; None if it names none."""
        return self.max_completion_tokens or self.max_tokens


class Completion(Words):
    """POST /v1/completions: the model continues a text, without a template."""

    neutral: ClassVar[Neutral] = {"logit_bias": ({},), "suffix": ("",)}

    prompt: Annotated[Text, Field(min_length=1)]  # a list of one text is that text
    echo: Literal[False] | None = None
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None
    logprobs: None = None

    @field_validator("prompt", mode="before")
    @classmethod
    def _one(cls, value):
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    def limit(self) -> int | None:
        """Return the length of the answer in tokens; 16 if the client names none, as at OpenAI."""
        return self.max_tokens or 16


class Feedback(Closed):
    """POST /v1/feedback: a person's feedback on an answer."""

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


def decoded(text: str) -> bytes:
    """Decode base64. Raises ValueError if the text is not base64 or is empty."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if not content:
        raise ValueError("no bytes at all")
    return content
