"""Greedy generation in batches with a key-value cache: the answers that evaluations judge."""

from collections.abc import Callable

import torch

from fmcycle.processor import components


def answers(model, processor, conversations: list[list[dict]], *, render: Callable, max_new_tokens: int, batch_size: int = 8) -> list[str]:
    """The model's greedy answer to each conversation, whose last message is the user's.

    render: (processor, messages, generation_prompt=) -> ids.
    """
    prompts = [render(processor, messages, generation_prompt=True) for messages in conversations]
    return continuations(model, processor, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size)


def continuations(model, processor, prompts: list[list[int]], *, max_new_tokens: int, batch_size: int = 8) -> list[str]:
    """The greedy continuation of each prompt's ids, up to the end of turn or of text."""
    stop, pad = components.ends(processor), components.pad(processor)
    found = greedy(model, prompts, stop=stop, pad=pad, max_new_tokens=max_new_tokens, batch_size=batch_size)
    return [processor.decode(ids, skip_special_tokens=True).strip() for ids in found]


@torch.no_grad()
def greedy(model, prompts: list[list[int]], *, stop: set[int], pad: int, max_new_tokens: int, batch_size: int = 8) -> list[list[int]]:
    """The likeliest next token, again and again, until one of `stop` (not returned) or `max_new_tokens`: token ids of each answer.

    Prompts are cut at their left end to fit the model's positions. Batches hold prompts of similar length; the batch size changes
    an answer only where two tokens tie within fp32 rounding.
    """
    room = model.config.max_position_embeddings - max_new_tokens
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    answers: list[list[int]] = [[] for _ in prompts]
    for begin in range(0, len(order), batch_size):
        batch = order[begin : begin + batch_size]
        for index, answer in zip(batch, _batch(model, [prompts[i][-room:] for i in batch], stop, pad, max_new_tokens), strict=True):
            answers[index] = answer
    return answers


def _batch(model, prompts: list[list[int]], stop: set[int], pad: int, max_new_tokens: int) -> list[list[int]]:
    """One batch, padded at the left end; a finished row leaves the batch, its cache with it."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    answers: list[list[int]] = [[] for _ in prompts]
    alive, cache = list(range(len(prompts))), None
    for _ in range(max_new_tokens):
        out = model(input_ids=ids, attention_mask=mask, position_ids=position, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, chosen = out.past_key_values, out.logits[:, -1].argmax(-1)
        keep = [place for place, token in enumerate(chosen.tolist()) if token not in stop]
        if not keep:
            break
        if len(keep) < len(alive):
            rows = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(rows)
            alive, chosen, mask, position = [alive[place] for place in keep], chosen[rows], mask[rows], position[rows]
        for place, token in zip(alive, chosen.tolist(), strict=True):
            answers[place].append(token)
        ids, position = chosen[:, None], position[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
    return answers
