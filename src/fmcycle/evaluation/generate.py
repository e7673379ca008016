"""Greedy answers as text: what evaluations judge."""

from collections.abc import Callable

from fmcycle.engine.generate import generate, greedy
from fmcycle.engine.protocol import Request


def answers(model, processor, conversations: list[list[dict]], *, render: Callable, max_new_tokens: int, batch_size: int = 8) -> list[str]:
    """The model's greedy answer to each conversation, whose last message is the user's.

    render: (processor, messages, generation_prompt=) -> ids.
    """
    prompts = [render(processor, messages, generation_prompt=True) for messages in conversations]
    return continuations(model, processor, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size)


def continuations(model, processor, prompts: list[list[int]], *, max_new_tokens: int, batch_size: int = 8) -> list[str]:
    """The greedy continuation of each prompt's ids (of an encoder-decoder: the answer to them), up to the end of turn or of text."""
    sampling = greedy(processor, max_new_tokens)
    found = generate(model, [Request(ids, sampling) for ids in prompts], batch_size=batch_size)
    return [processor.decode(answer.ids, skip_special_tokens=True).strip() for answer in found]
