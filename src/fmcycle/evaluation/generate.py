"""Answers of a model in memory, made as the server makes them: evaluations judge these."""

from collections.abc import Callable, Sequence
from typing import Any

from fmcycle.engine.context import Context
from fmcycle.engine.generate import generate
from fmcycle.serving.pipeline import Draft, Pipeline

Prompt = list[dict] | str | tuple[str, list[int]]


def answers(
    model,
    processor,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    guardrail: dict[str, list[Callable]] | None = None,
    stop: Sequence[str] = (),
    batch_size: int = 8,
    seen: Sequence[dict] | None = None,
) -> list[Draft]:
    """The greedy answer to each prompt, in batches. A prompt is a conversation, a text to go on with, or a text and its token ids.

    guardrail: the guards {"input": [...], "output": [...]}; stop: strings that end an answer, as a client may send them; seen: what a model
    takes beside the ids of each prompt, as `fmcycle.engine.generate` has it.
    """
    pipeline = Pipeline(Context(model, processor), guardrail or {})
    drafts = [_draft(pipeline, prompt, max_tokens=max_new_tokens, stop=stop) for prompt in prompts]
    for draft in drafts:
        draft.open()
    asked = [place for place, draft in enumerate(drafts) if not draft.done]
    columns = None if seen is None else [seen[place] for place in asked]
    found = generate(model, [drafts[place].request for place in asked], batch_size=batch_size, seen=columns)
    for place, answer in zip(asked, found, strict=True):
        drafts[place].read(answer.ids)
    return drafts


def asking(evaluation: Any) -> dict[str, Any]:
    """The options of `answers` that are fields of an evaluation."""
    names = ("max_new_tokens", "guardrail", "stop", "batch_size")
    return {name: getattr(evaluation, name) for name in names if hasattr(evaluation, name)}


def _draft(pipeline: Pipeline, prompt: Prompt, **options) -> Draft:
    if isinstance(prompt, str):
        return pipeline.completion(prompt, **options)
    if isinstance(prompt, tuple):
        return pipeline.draft([{"role": "user", "content": prompt[0]}], prompt[1], **options)
    return pipeline.chat(prompt, **options)
