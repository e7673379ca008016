"""The contract of an engine: the request that it takes and the methods that each task needs.

An engine of tokens is asynchronous: a caller submits a request with `submit`, reads its `stream` and may `abort` it at any time. The engine
batches inside; callers know nothing of each other. `generate` is the synchronous form over any such engine.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fmcycle.errors import InputError
from fmcycle.ranges import Fraction, NonNegativeFloat, PositiveInt

KINDS = ("text", "image", "audio")  # kinds of input


@dataclass(frozen=True)
class Sampling:
    """How an engine samples the tokens of an answer, and when the answer ends. A client's request has fields of the same names.

    temperature: 0 takes the likeliest token; top_p: nucleus sampling (Holtzman et al., 2020); penalties: as OpenAI defines them; seed: the
    same seed gives the same tokens; stop_ids: tokens that end the answer and do not belong to it.
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
    """A request to an engine of tokens. ids: the prompt; images: files, one for each run of image tokens in `ids`, in their order."""

    ids: Sequence[int]
    sampling: Sampling
    images: Sequence[bytes] = ()


class Engine(Protocol):
    """The members of every engine."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the engine, some of TASKS."""

    @property
    def takes(self) -> tuple[str, ...]:
        """The kinds of input that the model reads, some of KINDS, or none."""

    @property
    def processor(self) -> Any:
        """The processor of the model."""

    def warm_up(self) -> None:
        """Answer once, so that the first client does not wait for lazy initialisation."""


class TokenEngine(Engine, Protocol):
    """Chats and completions, token by token.

    Many requests may run at the same time. The engine answers each as if it were alone, and a request that fails ends alone.
    `stop_ids`, a set, is optional: ids that end an answer; without it those of the processor do.
    """

    @property
    def max_tokens(self) -> int:
        """The length of an answer, in tokens, if the client names none."""

    @property
    def positions(self) -> int:
        """The number of tokens that the model reads."""

    def room(self, ids: Sequence[int]) -> int:
        """Return how many tokens the answer to a prompt may have; 0 or less if the prompt is too long."""

    def begin(self, ids: list[int]) -> list[int]:
        """Return the prompt of a completion: the ids of a text and the token that begins or ends a text, if the tokenizer has one."""

    async def submit(self, request: Request) -> Any:
        """Return the handle of `request`, once there is a place for it. Raises the request's own error; a cancelled call withdraws it."""

    def stream(self, handle: Any) -> AsyncIterator[int]:
        """Yield the token ids of an answer as they come, to one reader on the event loop that submitted. Raises the request's own error."""

    async def abort(self, handle: Any) -> None:
        """End an answer before the engine's next step, and end its stream. Does nothing if the answer has ended already."""


class EmbeddingEngine(Engine, Protocol):
    """Vectors."""

    def embed(self, items: list[str | bytes]) -> tuple[Any, int]:
        """Return ((n, d) float32 of length 1, number of tokens read) of texts (str) or files (bytes).

        Raises InputError for an item that the model can't read.
        """


class ClassifierEngine(Engine, Protocol):
    """Classes."""

    def classify(self, items: list[str | bytes]) -> list[dict[str, float]]:
        """Return {label: probability} of each text (str) or file (bytes). Raises InputError for an item that the model can't read."""


class ImageEngine(Engine, Protocol):
    """Images."""

    @property
    def size(self) -> str:
        """The size of an image as OpenAI writes it: width x height."""

    def generate_image(self, prompt: str, *, n: int, seed: int, steps: int | None, guidance: float | None) -> list[bytes]:
        """Return `n` PNG files, the same for the same seed. Raises InputError for a prompt or an option that the model does not take."""


class SpeechEngine(Engine, Protocol):
    """Transcripts."""

    def transcribe(self, sound: bytes) -> str:
        """Return the transcript of an audio file. Raises InputError for a file that the model can't read."""


TASKS: dict[str, type] = dict.fromkeys(("chat", "completion"), TokenEngine) | {
    "embed": EmbeddingEngine,
    "classify": ClassifierEngine,
    "generate_image": ImageEngine,
    "transcribe": SpeechEngine,
}


def check(engine: Any) -> None:
    """Raise InputError if `engine` lacks a member of the protocol of one of its tasks, or has it in another form."""
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
    """Return {name: the protocol's method, or None for an attribute} of every member that `protocol` needs."""
    found: dict[str, Any] = {}
    for kind in reversed(protocol.__mro__[:-3]):  # the last are Protocol, Generic and object
        found |= {name: value if inspect.isfunction(value) else None for name, value in vars(kind).items() if not name.startswith("_")}
    return found


def _misfit(own: Any, form: Any) -> str | None:
    """Return how a method differs from the protocol's, as the end of a sentence; None if it takes the same arguments."""
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
    """Submit all requests at once and return the token ids of each answer. It blocks, so a program with an event loop streams instead.

    Raises the first error of any request and aborts the others.
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
