"""Renders messages to token ids by the processor's chat template, for training, evaluation and serving alike."""

import contextlib
import re
from collections.abc import Collection, Sequence

from fmcycle.errors import InputError
from fmcycle.processor.components import chat_template, image_ids, special_ids, tokenizer_of
from fmcycle.processor.template import Written, boundary, end_of_turn, quotable, written

ROLES = ("system", "user", "assistant")


def conversation(processor, messages: list[dict], *, generation_prompt: bool = False) -> Written:
    """Return the text that the chat template writes, in which images stand before a message's words.

    Raises InputError for an unknown role, for a processor without a template, and for a template that refuses, omits or repeats a message.
    """
    for message in messages:
        if message["role"] not in ROLES:
            raise InputError(f"role {message['role']!r}: a message's role is one of {', '.join(ROLES)}")
    tokenizer, template = tokenizer_of(processor), chat_template(processor)
    if not template:
        folder = getattr(tokenizer, "name_or_path", "") or "the model's folder"
        raise InputError(
            f"{folder}: its tokenizer has no chat template, so it can't render a conversation: write the template that its model was "
            f"trained with as {folder}/chat_template.jinja, or start from a model that has one"
        )
    shown = [processor.image_token * len(image_ids(processor)) * each["images"] if each.get("images") else "" for each in messages]
    return written(tokenizer, template, messages, shown, generation_prompt)


def chat_ids(processor) -> list[int]:
    """Return the sorted ids of the special tokens that the template writes around messages; [] without a template."""
    if not chat_template(processor):
        return []
    found: set[int] = set()
    for roles in (ROLES, ROLES[1:]):
        with contextlib.suppress(InputError):  # some templates refuse a system role
            found.update(render(processor, [{"role": role, "content": "Hello"} for role in roles]))
    return sorted(found & special_ids(processor))


def plain_ids(processor, text: str) -> list[int]:
    """Return the token ids of `text`; special tokens are neither added nor recognised."""
    return tokenizer_of(processor)(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def render(processor, messages: list[dict], *, generation_prompt: bool = False) -> list[int]:
    """Return the token ids of a conversation, which are those of `apply_chat_template`.

    With `generation_prompt` they end where the assistant's answer begins. Special tokens spelled out in a content are encoded as plain
    text, so no user can end a turn or open another.
    """
    return conversation(processor, messages, generation_prompt=generation_prompt).encode()


def labelled(processor, messages: list[dict], masked: Collection[int] = ()) -> tuple[list[int], list[int]]:
    """Return (ids, labels) of a conversation: labels are the ids between generation prompt and end of turn, which they include, -100
    elsewhere.

    masked: indices of messages whose answers get no labels. Raises InputError for a template that ends no answer with a token, and for
    one whose generation prompt is not what it writes before an answer.
    """
    whole = conversation(processor, messages)
    ids = whole.encode()
    labels = [-100] * len(ids)
    for place, message in enumerate(messages):
        if message["role"] == "assistant" and place not in masked:
            begin = _begin(whole, ids, place, conversation(processor, messages[:place], generation_prompt=True))
            end = _end(whole, ids, place, begin, _end_of_turn(processor), _closing(processor, whole.called[place]))
            labels[begin:end] = ids[begin:end]
    return ids, labels


def _end_of_turn(processor) -> int:
    tokenizer = tokenizer_of(processor)
    found = end_of_turn(tokenizer, chat_template(processor), len(tokenizer))
    if found is None:
        raise InputError(
            "the chat template writes no end-of-turn token behind an answer, so a model can't learn to end one: write a special token of "
            f"the tokenizer, such as {tokenizer.eos_token or 'its eos_token'}, behind the assistant's content in chat_template.jinja"
        )
    return found


def _begin(whole: Written, ids: list[int], place: int, prompt: Written) -> int:
    """Return the index of the first token behind the generation prompt of message `place`; `prompt` is what the model reads there."""
    last, start = (whole.ends[place - 1], prompt.ends[-1]) if place else (0, 0)
    if place == len(whole.ends) - 1:
        last = start = 0  # before the last answer all must be the same; the prompts of earlier ones may place a system message elsewhere
    opening, there = prompt.text[start:], whole.text[last:]
    if not there.startswith(opening):
        same = _shared(opening, there)
        raise InputError(
            f"the chat template writes {opening[same : same + 60]!r} at the end of a prompt, but {there[same : same + 60]!r} in its place "
            "if the answer is there: training and serving would read two forms; make them one in chat_template.jinja"
        )
    behind = last + len(opening)
    read = whole.encode(behind)
    same = _shared(read, ids)
    if same == len(read):
        return same
    if opening[-1:].isspace() and not whole.text[behind : behind + 1].isspace():
        raise InputError(
            f"the chat template ends the prompt inside a token, with {opening[-1:]!r}: before an answer the prompt's last token is another "
            "one; end it with a special token, a letter or a line end in chat_template.jinja, and begin the answer with the blank"
        )
    return same + 1  # the prompt's last token has grown into the first character of this one answer


def _shared(one: Sequence, other: Sequence) -> int:
    """Return how many items two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def _closing(processor, called: bool) -> re.Pattern:
    """Return a pattern of the tokens that may end an answer; tokens around a tool call, which are not special, are none of them."""
    tokenizer, template = tokenizer_of(processor), chat_template(processor)
    return quotable(tokenizer, template, len(tokenizer)) if called else boundary(tokenizer, len(tokenizer))


def _end(whole: Written, ids: list[int], place: int, begin: int, token: int, closing: re.Pattern) -> int:
    """Return the index behind the last token of the answer `place`: behind `token`, if the template ends it with that.

    An earlier answer may end with another token than the last one (GPT-OSS), which is not learned: it stops no answer.
    """
    last = whole.ends[place]
    following = min((end for end in whole.ends if end > last), default=len(whole.text))
    found = closing.search(whole.text, last, following)
    if found and found[0] == whole.tokenizer.convert_ids_to_tokens(token):
        return ids.index(token, begin) + 1
    return len(whole.encode(found.start() if found else last))


def answer_text(processor, messages: list[dict]) -> str:
    """Return what the model should say as the last message: its content, or its tool calls in the template's form."""
    content = messages[-1]["content"]
    if "<tool_call>" not in content or not conversation(processor, messages).called[-1]:
        return content
    ids, labels = labelled(processor, messages, masked=range(len(messages) - 1))
    return tokenizer_of(processor).decode(
        [token for token, label in zip(ids, labels, strict=True) if label != -100], skip_special_tokens=True
    )


def instruction(row: dict, processor) -> dict[str, list[int]]:
    """Return a row of instructions as {"input_ids", "labels"}."""
    ids, labels = labelled(processor, row["messages"], row.get("masked") or ())
    return {"input_ids": ids, "labels": labels}


def preference(row: dict, processor) -> dict[str, dict[str, list[int]]]:
    """Return a row of preferences as {"chosen", "rejected"}, each {"input_ids", "labels"} with labels on its answer only."""
    sides, asked = {}, row["prompt"]
    for side in ("chosen", "rejected"):
        ids, labels = labelled(processor, [*asked, {"role": "assistant", "content": row[side]}], masked=range(len(asked)))
        end = max(index for index, label in enumerate(labels) if label != -100) + 1  # the answer ends with its end of turn
        sides[side] = {"input_ids": ids[:end], "labels": labels[:end]}
    return sides


def example() -> dict:
    """Return a tokenizer with a chat template."""
    from fmcycle.config.example import processor
    from fmcycle.processor.bpe import bpe

    return {"processor": bpe(processor()["texts"], vocab_size=300)}
