"""What the model writes while it is trained: greedy continuations of the first validation rows, for a person to read."""

from typing import Any

import torch

from fmcycle.engine.generate import generate, greedy
from fmcycle.engine.protocol import Request
from fmcycle.processor.components import tokenizer_of

PROMPT, ANSWER = 24, 40  # tokens of a text that are shown to the model, tokens that it may write


def writes(model: Any, processor: Any) -> bool:
    """True for decoder-only language models whose processor is a tokenizer."""
    causal = getattr(model, "can_generate", bool)() and not getattr(model.config, "is_encoder_decoder", False)
    return bool(causal) and processor is tokenizer_of(processor)


def take(model: Any, rows: Any, processor: Any, step: int, *, count: int = 2) -> list[dict]:
    """{"step", "prompt", "continuation", "expected"} of the first `count` of `rows`. Training is not changed by a bit.

    No random number is drawn. Compiled code would be compiled anew for every length, so it runs as it is written here.
    """
    training = model.training
    model.eval()
    parts = [split(rows[index]) for index in range(min(count, len(rows)))]
    sampling = greedy(processor, ANSWER)
    with torch.compiler.set_stance("force_eager"):
        # one by one: nothing is padded, and what a strategy puts before a text is not masked
        made = generate(model, [Request(prompt, sampling) for prompt, _ in parts], batch_size=1)
    model.train(training)
    found = []
    for (prompt, expected), answer in zip(parts, made, strict=True):
        texts = [processor.decode(ids, skip_special_tokens=True).strip() for ids in (prompt, answer.ids, expected)]
        found.append({"step": step} | dict(zip(("prompt", "continuation", "expected"), texts, strict=True)))
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
