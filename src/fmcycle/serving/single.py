"""Requests that are answered in one piece: embeddings, classes, images and transcripts. Each answer is stored."""

import base64
import json
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from fmcycle.errors import InputError, Refused
from fmcycle.processor import components
from fmcycle.serving.api_error import ApiError
from fmcycle.serving.assistant import Assistant
from fmcycle.serving.detokenize import guarded
from fmcycle.serving.schema import Closed, Neutral, Text, decoded
from fmcycle.serving.store import sha256, trace
from fmcycle.source.feedback import TAUGHT

INPUTS = 256  # texts or files in one request


class Media(Closed):
    """An image or a sound in JSON."""

    media_type: Literal[
        "image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "audio/wav", "audio/flac", "audio/ogg", "audio/mpeg"
    ]
    data: str

    @field_validator("data")
    @classmethod
    def _data(cls, value):
        decoded(value)
        return value

    def content(self) -> bytes:
        """Return the bytes."""
        return decoded(self.data)


Input = Annotated[Text, Field(min_length=1)] | Media


class Inputs(Closed):
    """The input of embeddings and classes: one text or file, or a list of them."""

    model: str = ""
    input: Input | Annotated[list[Input], Field(min_length=1, max_length=INPUTS)]
    user: Text | None = None

    def items(self) -> list[str | bytes]:
        """Return the texts, and the bytes of the files."""
        items = self.input if isinstance(self.input, list) else [self.input]
        return [item if isinstance(item, str) else item.content() for item in items]


class Embeddings(Inputs):
    """POST /v1/embeddings."""

    encoding_format: Literal["float", "base64"] | None = None
    dimensions: None = None


class Classify(Inputs):
    """POST /classify."""


class Images(Closed):
    """POST /v1/images/generations; seed, steps and guidance are fields of fmcycle, not of OpenAI."""

    neutral: ClassVar[Neutral] = {
        "background": ("auto",),
        "moderation": ("auto",),
        "output_compression": (),
        "partial_images": (0,),
        "quality": ("auto",),
        "safety_identifier": (),
        "stream": (False,),
        "style": (),
    }

    model: str = ""
    prompt: Annotated[str, Field(max_length=10_000)]
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Annotated[str, Field(max_length=16)] | None = None
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png"] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=50)] | None = None
    user: Text | None = None


class Transcription(Closed):
    """The fields beside the file of POST /v1/audio/transcriptions; in a form all of them are texts."""

    neutral: ClassVar[Neutral] = {
        "chunking_strategy": ("auto",),
        "language": ("",),
        "prompt": ("",),
        "stream": ("false",),
        "temperature": ("0", "0.0"),
    }

    model: str = ""
    response_format: Literal["json", "text"] = "json"


def embed(assistant: Assistant, asked: Embeddings) -> dict:
    """Return OpenAI's list of embeddings. Raises ApiError for an input of a kind that the model does not read."""
    assistant.need("embed", asked.model)
    items = asked.items()

    def work():
        vectors, tokens = assistant.engine.embed(items)
        return vectors, f"{vectors.shape[0]} vectors of {vectors.shape[1]} numbers", tokens, 0

    name, (vectors, _, tokens, _) = answered(assistant, "embedding", items, "input", work)
    if asked.encoding_format == "base64":
        rows = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    else:
        rows = vectors.tolist()
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"id": name, "object": "list", "model": assistant.name, "data": data, "usage": usage}


def classify(assistant: Assistant, asked: Classify) -> dict:
    """Return for each input its labels with their probabilities, the most probable first."""
    assistant.need("classify", asked.model)
    items = asked.items()

    def work():
        found = [sorted(row.items(), key=lambda pair: -pair[1]) for row in assistant.engine.classify(items)]
        return found, json.dumps([row[0][0] for row in found], ensure_ascii=False), 0, 0

    name, (found, *_) = answered(assistant, "classification", items, "input", work)
    data = [
        {"index": index, "label": row[0][0], "labels": [{"label": label, "probability": value} for label, value in row]}
        for index, row in enumerate(found)
    ]
    return {"id": name, "object": "list", "model": assistant.name, "data": data}


def draw(assistant: Assistant, asked: Images) -> dict:
    """Return OpenAI's list of images, with the seed that generates them again."""
    assistant.need("generate_image", asked.model)
    engine = assistant.engine
    if asked.size not in (None, "auto", engine.size):
        raise ApiError(400, f"size: this model draws {engine.size} only", "invalid_value", "size")
    seed = random.getrandbits(53) if asked.seed is None else asked.seed

    def work():
        for guard in assistant.pipeline.guards("input"):
            guard(asked.prompt)
        images = engine.generate_image(asked.prompt, n=asked.n or 1, seed=seed, steps=asked.steps, guidance=asked.guidance)
        return images, " ".join(map(trace, images)), 0, 0

    name, (images, *_) = answered(assistant, "image", [asked.prompt], "prompt", work)
    data = [{"b64_json": base64.b64encode(image).decode()} for image in images]
    return {"id": name, "created": int(time.time()), "size": engine.size, "output_format": "png", "seed": seed, "data": data}


def transcribe(assistant: Assistant, asked: Transcription, sound: bytes) -> dict:
    """Return {"text", "id"}: the transcript of a sound file, behind the output guards."""
    assistant.need("transcribe", asked.model)

    def work():
        text = guarded(assistant.engine.transcribe(sound), assistant.pipeline.guards("output"))
        tokenizer = components.tokenizer_of(assistant.engine.processor)
        return text, text, 0, len(tokenizer(text, add_special_tokens=False)["input_ids"])

    name, (text, *_) = answered(assistant, "transcription", [sound], "file", work)
    return {"text": text, "id": name}


def answered(assistant: Assistant, kind: str, items: list, param: str, work: Callable[[], tuple]) -> tuple[str, Any]:
    """Run `work` and store its answer; return (id, (the result, its text for the store, tokens read, tokens written)).

    The store keeps the bytes of images and sounds if feedback on this kind of answer makes training rows, else their size and digest.
    Raises ApiError 400 for an input that the model can't take, and if a guard refuses; the refusal is stored.
    """
    name, created, clock = f"ans-{uuid.uuid4().hex}", datetime.now(UTC), time.monotonic()
    media = [item for item in items if isinstance(item, bytes)] if kind in TAUGHT else []
    names = [{"media": sha256(item)} if media and isinstance(item, bytes) else {} for item in items]
    prompt = [{"role": "user", "content": trace(item)} | named for item, named in zip(items, names, strict=True)]

    def keep(text: str, finish: str, read: int, written: int) -> None:
        row = {"created": created, "finish": finish, "latency": time.monotonic() - clock}
        assistant.keep(name, kind, prompt, text, media, prompt_tokens=read, answer_tokens=written, **row)

    try:
        made = work()
    except InputError as error:
        raise ApiError(400, f"{param}: {error}", "invalid_value", param) from None
    except Refused as refused:
        keep(refused.reason, "content_filter", 0, 0)
        raise ApiError(400, refused.reason, "content_policy_violation", param) from None
    keep(made[1], "stop", made[2], made[3])
    return name, made
