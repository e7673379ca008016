"""Renders messages to token ids by the processor's chat template, for training, evaluation and serving alike."""

import contextlib
import functools
import re
from collections.abc import Collection
from typing import Any

from fmcycle.errors import InputError
from fmcycle.processor.components import ends, image_ids, special_ids, tokenizer_of

ROLES = ("system", "user", "assistant")
PLACE = "\ue000{}\ue001"  # placeholder for a content while the template is rendered; private-use characters
PLACES = re.compile("\ue000(\\d+)\ue001")


def frame(processor, messages: list[dict], *, generation_prompt: bool = False) -> list[list[int]]:
    """Return the template's token ids before the first content, between contents, and after the last: one list more than messages.

    Raises InputError for an unknown role, for a processor without a template, and for a template that omits a content.
    """
    for message in messages:
        if message["role"] not in ROLES:
            raise InputError(f"role {message['role']!r}: a message's role is one of {', '.join(ROLES)}")
    tokenizer = tokenizer_of(processor)
    template = getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None)
    if not template:
        folder = getattr(tokenizer, "name_or_path", "") or "the model's folder"
        raise InputError(
            f"{folder}: its tokenizer has no chat template, so it can't render a conversation: write the template that its model was "
            f"trained with as {folder}/chat_template.jinja, or start from a model that has one"
        )
    roles = tuple(message["role"] for message in messages)
    return [list(ids) for ids in _frame(tokenizer, template, roles, generation_prompt)]


@functools.lru_cache(maxsize=512)
def _frame(tokenizer: Any, template: str, roles: tuple[str, ...], generation_prompt: bool) -> tuple[tuple[int, ...], ...]:
    from jinja2 import TemplateError

    asked = [{"role": role, "content": PLACE.format(place)} for place, role in enumerate(roles)]
    try:
        text = tokenizer.apply_chat_template(asked, chat_template=template, tokenize=False, add_generation_prompt=generation_prompt)
    except TemplateError as error:
        raise InputError(f"the chat template refuses a conversation of {', '.join(roles)}: {error}") from error
    parts = PLACES.split(text)
    if parts[1::2] != [str(place) for place in range(len(roles))]:
        raise InputError(f"the chat template does not write each content of a conversation of {', '.join(roles)} once, in order")
    return tuple(tuple(tokenizer(part, add_special_tokens=False)["input_ids"]) if part else () for part in parts[::2])


def chat_ids(processor) -> list[int]:
    """Return the sorted ids of the special tokens that the template writes around messages; [] without a template."""
    if not any(getattr(part, "chat_template", None) for part in (processor, tokenizer_of(processor))):
        return []
    written: set[int] = set()
    for roles in (ROLES, ROLES[1:]):
        with contextlib.suppress(InputError):  # some templates refuse a system role
            written.update(*frame(processor, [{"role": role} for role in roles]))
    return sorted(written & special_ids(processor))


def plain_ids(processor, text: str) -> list[int]:
    """Return the token ids of `text`, with no special token added or recognised."""
    return tokenizer_of(processor)(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def content_ids(processor, message: dict) -> list[int]:
    """Return the token ids of a message: the placeholders of its `images` (a count, optional), then its text."""
    pictures = image_ids(processor) * message["images"] if message.get("images") else []
    return [*pictures, *plain_ids(processor, message["content"])]


def render(processor, messages: list[dict], *, generation_prompt: bool = False) -> list[int]:
    """Return the token ids of a conversation; with `generation_prompt` they end where the assistant's answer begins.

    Special tokens spelled out in a content are encoded as plain text, so no user can end a turn or open another.
    """
    before, *after = frame(processor, messages, generation_prompt=generation_prompt)
    ids = before
    for message, following in zip(messages, after, strict=True):
        ids += [*content_ids(processor, message), *following]
    return ids


def closing(processor, following: list[int]) -> list[int]:
    """Return the ids after an answer up to the one that ends its turn; [] if the template does not end turns."""
    stop = ends(processor)
    return next((following[: place + 1] for place, token in enumerate(following) if token in stop), [])


def labelled(processor, messages: list[dict], masked: Collection[int] = ()) -> tuple[list[int], list[int]]:
    """Return (ids, labels) of a conversation: labels are the ids of the assistant's answers and their ends of turn, -100 elsewhere.

    masked: indices of messages whose answers get no labels.
    """
    ids, *after = frame(processor, messages)
    labels = [-100] * len(ids)
    for place, (message, following) in enumerate(zip(messages, after, strict=True)):
        content, said = content_ids(processor, message), message["role"] == "assistant" and place not in masked
        end = closing(processor, following) if said else []
        ids += [*content, *following]
        labels += [*(content if said else [-100] * len(content)), *end, *[-100] * (len(following) - len(end))]
    return ids, labels


def instruction(row: dict, processor) -> dict[str, list[int]]:
    """Return a row of instructions as {"input_ids", "labels"}."""
    ids, labels = labelled(processor, row["messages"], row.get("masked") or ())
    return {"input_ids": ids, "labels": labels}


def preference(row: dict, processor) -> dict[str, dict[str, list[int]]]:
    """Return a row of preferences as {"chosen", "rejected"}, each {"input_ids", "labels"} with labels on its answer only."""
    prompt = render(processor, row["prompt"], generation_prompt=True)
    *_, following = frame(processor, [*row["prompt"], {"role": "assistant", "content": ""}])
    end = closing(processor, following)
    sides = {}
    for side in ("chosen", "rejected"):
        answer = [*plain_ids(processor, row[side]), *end]  # the answer ends with its end of turn
        sides[side] = {"input_ids": [*prompt, *answer], "labels": [-100] * len(prompt) + answer}
    return sides


def example() -> dict:
    """Return a tokenizer with a chat template."""
    from fmcycle.config.example import processor
    from fmcycle.processor.bpe import bpe

    return {"processor": bpe(processor()["texts"], vocab_size=300)}
