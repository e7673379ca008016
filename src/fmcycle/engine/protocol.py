"""What an engine is: the request that it is given and, for each task, the methods that it has.

An engine of tokens is asynchronous: `submit` a request, read its `stream`, `abort` it at any time. It batches inside: whoever submits a
request knows nothing of the others. `generate` is the synchronous form over any such engine.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fmcycle.errors import InputError
from fmcycle.ranges import Fraction, NonNegativeFloat, PositiveInt

KINDS = ("text", "image", "audio")  # what an engine may take


@dataclass(frozen=True)
class Sampling:
    """How the tokens of an answer are chosen, and when it ends. A client's request has fields of the same names.

    temperature: 0 takes the likeliest token; top_p: Holtzman et al. (2020); penalties: as OpenAI defines them; seed: the same tokens for
    the same seed; stop_ids: tokens that end the answer and are no part of it.
    """

    max_tokens: PositiveInt
    temperature: NonNegativeFloat = 0.0
    top_p: Fraction = 1.0
    seed: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop_ids: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Request:
    """What an engine of tokens is asked. ids: the prompt; images: files, one for each run of image tokens in `ids`, in their order."""

    ids: Sequence[int]
    sampling: Sampling
    images: Sequence[bytes] = ()


class Engine(Protocol):
    """What every engine has."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it does: some of TASKS."""

    @property
    def takes(self) -> tuple[str, ...]:
        """What it reads: some of KINDS, or nothing."""

    @property
    def processor(self) -> Any:
        """The model's own."""

    def warm_up(self) -> None:
        """Answer once, so that the first person does not wait for lazy initialisation."""


class TokenEngine(Engine, Protocol):
    """Chats and completions, token by token.

    Many requests may be live at the same time; each is answered as if it were alone, and one that fails ends alone.
    """

    @property
    def max_tokens(self) -> int:
        """How many tokens an answer has at most, if its client names no length."""

    @property
    def positions(self) -> int:
        """How many tokens the model reads."""

    def room(self, ids: Sequence[int]) -> int:
        """How many tokens the answer to a prompt may have; none or less if the prompt is too long."""

    def begin(self, ids: list[int]) -> list[int]:
        """The ids of a text to go on with, as the model expects them: with the token that begins or ends a text, if there is one."""

    async def submit(self, request: Request) -> Any:
        """The handle of `request`, once the engine has a place for it; raises what is wrong with it. Cancelled, it is withdrawn."""

    def stream(self, handle: Any) -> AsyncIterator[int]:
        """The token ids of an answer as they come, for one reader on the event loop that submitted. Raises this request's own error."""

    async def abort(self, handle: Any) -> None:
        """End an answer: the engine's next step works on it no more, and its stream ends. Nothing if it has ended already."""


class EmbeddingEngine(Engine, Protocol):
    """Vectors."""

    def embed(self, items: list[str | bytes]) -> tuple[Any, int]:
        """((n, d) float32 of length 1, number of tokens read) of texts (str) or files (bytes). Raises InputError for what it can't read."""


class ClassifierEngine(Engine, Protocol):
    """Classes."""

    def classify(self, items: list[str | bytes]) -> list[dict[str, float]]:
        """{label: probability} of each text (str) or file (bytes). Raises InputError for what it can't read."""


class ImageEngine(Engine, Protocol):
    """Pictures."""

    @property
    def size(self) -> str:
        """Width x height of each, as OpenAI writes it."""

    def generate_image(self, prompt: str, *, n: int, seed: int, steps: int | None, guidance: float | None) -> list[bytes]:
        """`n` PNG files, the same for the same seed. Raises InputError for a prompt, or a number, that it does not know."""


class SpeechEngine(Engine, Protocol):
    """Transcripts."""

    def transcribe(self, wav: bytes) -> str:
        """What is said in a WAV file. Raises InputError for what it can't hear."""


TASKS: dict[str, type] = dict.fromkeys(("chat", "completion"), TokenEngine) | {
    "embed": EmbeddingEngine,
    "classify": ClassifierEngine,
    "generate_image": ImageEngine,
    "transcribe": SpeechEngine,
}


def check(engine: Any) -> None:
    """Raises InputError if `engine` lacks a part of the protocol of one of its tasks, or has it in another form."""
    name, tasks = type(engine).__name__, getattr(engine, "tasks", None)
    if not isinstance(tasks, tuple) or not tasks or not set(tasks) <= set(TASKS):
        raise InputError(f"{name}: `tasks` is {tasks!r}; an engine names what it does: some of {', '.join(TASKS)}")
    wanted = {part: form for task in tasks for part, form in parts(TASKS[task]).items()}
    if missing := [part for part in wanted if not hasattr(engine, part)]:
        raise InputError(f"{name}: an engine that does {', '.join(tasks)} has {', '.join(missing)} too: see fmcycle.engine.protocol")
    if not isinstance(engine.takes, tuple) or not set(engine.takes) <= set(KINDS):
        raise InputError(f"{name}: `takes` is {engine.takes!r}; an engine names what it reads: some of {', '.join(KINDS)}, or ()")
    for part, form in wanted.items():
        if form and (wrong := _misfit(getattr(engine, part), form)):
            raise InputError(f"{name}.{part} {wrong}: see fmcycle.engine.protocol")


def parts(protocol: type) -> dict[str, Any]:
    """{name: the protocol's own method; None for an attribute} of everything that `protocol` asks for."""
    found: dict[str, Any] = {}
    for kind in reversed(protocol.__mro__[:-3]):  # the last are Protocol, Generic and object
        found |= {name: value if inspect.isfunction(value) else None for name, value in vars(kind).items() if not name.startswith("_")}
    return found


def _misfit(own: Any, form: Any) -> str | None:
    """How a method differs from the protocol's, as the end of a sentence; None if it can be called in its place."""
    if not callable(own):
        return f"is {own!r}, not a method"
    if inspect.iscoroutinefunction(own) != inspect.iscoroutinefunction(form):
        return f"must {'' if inspect.iscoroutinefunction(form) else 'not '}be an `async def` that returns"
    _, *taken = inspect.signature(form).parameters.values()
    places = [each.name for each in taken if each.kind is not each.KEYWORD_ONLY]
    names = [each.name for each in taken if each.kind is each.KEYWORD_ONLY]
    try:
        inspect.signature(own).bind(*places, **dict.fromkeys(names))
    except TypeError:
        return f"must take ({', '.join([*places, *(['*', *names] if names else [])])})"
    return None


def generate(engine: TokenEngine, requests: Iterable[Request]) -> list[list[int]]:
    """The token ids of the answer to each request, all of them submitted at once. It blocks: a program with an event loop streams.

    Raises the first error of any request, and aborts the others.
    """

    async def answer(request: Request) -> list[int]:
        handle = await engine.submit(request)
        try:
            return [token async for token in engine.stream(handle)]
        finally:
            await engine.abort(handle)

    async def answers() -> list[list[int]]:
        return await asyncio.gather(*map(answer, requests))

    return asyncio.run(answers())
