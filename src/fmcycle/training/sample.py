"""Samples during training: greedy continuations of the first validation rows, for a person to read."""

from typing import Any

import torch

from fmcycle.engine.generate import generate, greedy
from fmcycle.engine.protocol import Request
from fmcycle.processor.components import tokenizer_of

PROMPT, ANSWER = 24, 40  # prompt tokens cut from a text, most tokens of a continuation


def writes(model: Any, processor: Any) -> bool:
    """True for decoder-only language models whose processor is a tokenizer."""
    causal = getattr(model, "can_generate", bool)() and not getattr(model.config, "is_encoder_decoder", False)
    return bool(causal) and processor is tokenizer_of(processor)


def take(model: Any, rows: Any, processor: Any, step: int, *, count: int = 2) -> list[dict]:
    """Return {"step", "prompt", "continuation", "expected"} of the first `count` rows; training continues bit for bit unchanged.

    It draws no random number. It runs eagerly, because torch.compile would recompile for every length.
    """
    training = model.training
    model.eval()
    parts = [split(rows[index]) for index in range(min(count, len(rows)))]
    sampling = greedy(processor, ANSWER)
    with torch.compiler.set_stance("force_eager"):
        # one row a batch: no padding, so no mask hides the tokens that a strategy (prefix tuning) puts first
        made = generate(model, [Request(prompt, sampling) for prompt, _ in parts], batch_size=1)
    model.train(training)
    found = []
    for (prompt, expected), answer in zip(parts, made, strict=True):
        texts = [processor.decode(ids, skip_special_tokens=True).strip() for ids in (prompt, answer.ids, expected)]
        found.append({"step": step} | dict(zip(("prompt", "continuation", "expected"), texts, strict=True)))
    return found


def split(row: Any) -> tuple[list[int], list[int]]:
    """Return (prompt ids, ids that follow them): the first question and its answer, or the beginning of a text."""
    row = row.get("chosen", row) if isinstance(row, dict) else {"input_ids": row}
    ids = [int(token) for token in row["input_ids"]]
    labels = [int(label) for label in row["labels"]] if row.get("labels") is not None else ids
    first = next((place for place, label in enumerate(labels) if label != -100), 0)
    if first < 2:  # a text: at most its first token has no label
        return ids[:PROMPT], ids[PROMPT : PROMPT + ANSWER]
    end = next((place for place in range(first, len(labels)) if labels[place] == -100), len(labels))
    return ids[:first], ids[first:end][:ANSWER]
