"""From messages to token ids: the one rendering that training, evaluation and serving share."""

from fmcycle.error import InputError

ROLES = ("system", "user", "assistant")


def turns(processor, messages: list[dict]) -> list[tuple[str, list[int], list[int]]]:
    """(role, ids that open the turn, ids of its content and end) of each message.

    Special tokens written inside a content are encoded as the plain text that they are, so no user can end a turn or
    open another. Raises InputError for a role that the template does not have.
    """
    id_of = processor.convert_tokens_to_ids
    newline = plain_ids(processor, "\n")
    out = []
    for message in messages:
        if message["role"] not in ROLES:
            raise InputError(f"role {message['role']!r}: a message's role is one of {', '.join(ROLES)}")
        opening = [id_of(f"<|{message['role']}|>"), *newline]
        out.append((message["role"], opening, [*plain_ids(processor, message["content"]), id_of("<|end|>")]))
    return out


def plain_ids(processor, text: str) -> list[int]:
    """Token ids of `text` with no special token added or recognised."""
    return processor(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def render(processor, messages: list[dict], *, generation_prompt: bool = False) -> list[int]:
    """Token ids of a conversation; with `generation_prompt` it ends where the assistant's answer begins."""
    newline = plain_ids(processor, "\n")
    ids = [token for _, opening, content in turns(processor, messages) for token in (*opening, *content, *newline)]
    return [*ids, processor.convert_tokens_to_ids("<|assistant|>"), *newline] if generation_prompt else ids


def labelled(processor, messages: list[dict]) -> tuple[list[int], list[int]]:
    """(ids, labels) of a conversation: labels repeat the ids of what the assistant says and its end of turn, and are -100 elsewhere."""
    newline = plain_ids(processor, "\n")
    ids, labels = [], []
    for role, opening, content in turns(processor, messages):
        ids += [*opening, *content, *newline]
        labels += [-100] * len(opening) + (content if role == "assistant" else [-100] * len(content)) + [-100] * len(newline)
    return ids, labels


def instruction(row: dict, processor) -> dict[str, list[int]]:
    """A row of instructions as {"input_ids", "labels"}."""
    ids, labels = labelled(processor, row["messages"])
    return {"input_ids": ids, "labels": labels}


def preference(row: dict, processor) -> dict[str, dict[str, list[int]]]:
    """A row of preferences as {"chosen", "rejected"}, each {"input_ids", "labels"} with labels on that answer only."""
    prompt = render(processor, row["prompt"], generation_prompt=True)
    sides = {}
    for side in ("chosen", "rejected"):
        ids = render(processor, [*row["prompt"], {"role": "assistant", "content": row[side]}])
        ids = ids[: len(ids) - len(plain_ids(processor, "\n"))]  # the answer ends with its end of turn
        sides[side] = {"input_ids": ids, "labels": [-100] * len(prompt) + ids[len(prompt) :]}
    return sides
