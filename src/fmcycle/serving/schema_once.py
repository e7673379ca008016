"""What a client may ask that is answered in one piece: vectors, classes, pictures, transcripts."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from fmcycle.serving.schema import Closed, Neutral, Text, decoded

INPUTS = 256  # texts or files in one request


class Media(Closed):
    """A picture or a sound in JSON."""

    media_type: Literal["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "audio/wav"]
    data: str

    @field_validator("data")
    @classmethod
    def _data(cls, value):
        decoded(value)
        return value

    def content(self) -> bytes:
        """Its bytes."""
        return decoded(self.data)


Input = Annotated[Text, Field(min_length=1)] | Media


class Inputs(Closed):
    """What embeddings and classes are asked of: one text or file, or a list of them."""

    model: str = ""
    input: Input | Annotated[list[Input], Field(min_length=1, max_length=INPUTS)]
    user: Text | None = None

    def items(self) -> list[str | bytes]:
        """The texts as they are, the files as their bytes."""
        items = self.input if isinstance(self.input, list) else [self.input]
        return [item if isinstance(item, str) else item.content() for item in items]


class Embeddings(Inputs):
    """POST /v1/embeddings."""

    encoding_format: Literal["float", "base64"] | None = None
    dimensions: None = None


class Classify(Inputs):
    """POST /classify."""


class Images(Closed):
    """POST /v1/images/generations; seed, steps and guidance are not OpenAI's."""

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
    """The fields beside the file of POST /v1/audio/transcriptions: texts, as a form has them."""

    neutral: ClassVar[Neutral] = {"language": ("",), "prompt": ("",), "temperature": ("0", "0.0"), "stream": ("false",)}

    model: str = ""
    response_format: Literal["json", "text"] = "json"
