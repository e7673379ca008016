"""What the model writes while it is trained: greedy continuations of the first validation rows, for a person to read."""

from typing import Any

import torch
import torch.nn.functional as F

from fmcycle.kernels import linear_cross_entropy
from fmcycle.processor.components import ends, tokenizer_of

PROMPT, ANSWER = 24, 40  # tokens of a text that are shown to the model, tokens that it may write


def writes(model: Any, processor: Any) -> bool:
    """Is this a language model that goes on with a text by itself?"""
    causal = getattr(model, "can_generate", bool)() and not getattr(model.config, "is_encoder_decoder", False)
    return bool(causal) and processor is tokenizer_of(processor)


def take(model: Any, rows: Any, processor: Any, step: int, *, count: int = 2) -> list[dict]:
    """{"step", "prompt", "continuation", "expected"} of the first `count` of `rows`. Training is not changed by a bit.

    No random number is drawn. Compiled code would be compiled anew for every length, so it runs as it is written here.
    """
    training = model.training
    model.eval()
    stop = ends(processor)
    found = []
    with torch.compiler.set_stance("force_eager"):
        for index in range(min(count, len(rows))):
            prompt, expected = split(rows[index])
            made = continuation(model, prompt, stop, ANSWER)
            texts = [processor.decode(ids, skip_special_tokens=True).strip() for ids in (prompt, made, expected)]
            found.append({"step": step} | dict(zip(("prompt", "continuation", "expected"), texts, strict=True)))
    model.train(training)
    return found


def split(row: Any) -> tuple[list[int], list[int]]:
    """(ids to go on from, ids that follow there): the first question and its answer, else the beginning of the text."""
    row = row.get("chosen", row) if isinstance(row, dict) else {"input_ids": row}
    ids = [int(token) for token in row["input_ids"]]
    labels = [int(label) for label in row["labels"]] if row.get("labels") is not None else ids
    first = next((place for place, label in enumerate(labels) if label != -100), 0)
    if first < 2:  # a text: at most its first token has no label
        return ids[:PROMPT], ids[PROMPT : PROMPT + ANSWER]
    end = next((place for place in range(first, len(labels)) if labels[place] == -100), len(labels))
    return ids[:first], ids[first:end][:ANSWER]


@torch.no_grad()
def continuation(model: Any, prompt: list[int], stop: set[int], most: int) -> list[int]:
    """The likeliest next token, again and again, until one of `stop` (not returned) or `most` tokens."""
    head, device = linear_cross_entropy.head_of(model), next(model.parameters()).device
    ids, cache, found = torch.tensor([prompt], device=device), None, []
    for _ in range(most):
        out = model(input_ids=ids, past_key_values=cache, use_cache=True)
        last, cache = out.logits[:, -1], out.past_key_values
        token = int((F.linear(last, head.weight) if linear_cross_entropy.fused(head) else last).argmax(-1))
        if token in stop:
            break
        found.append(token)
        ids = torch.tensor([[token]], device=device)
    return found
