"""Generates the answers to many requests in batches with a key-value cache, for evaluations, samples and synthetic text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from fmcycle.engine.decoding import Draw
from fmcycle.engine.protocol import Request, Sampling
from fmcycle.kernels import linear_cross_entropy
from fmcycle.model.inputs import batched, placed
from fmcycle.processor import components


@dataclass
class Answer:
    """ids: the tokens of the answer without its stop token; log_probs: the natural logarithm of the model's probability of each."""

    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)


def greedy(processor: Any, max_tokens: int) -> Sampling:
    """Return the sampling that takes the likeliest token until the end of the turn or of the text."""
    return Sampling(max_tokens, stop_ids=frozenset(components.ends(processor)))


@torch.no_grad()
def generate(model: Any, requests: Sequence[Request], *, batch_size: int = 8, seen: Sequence[dict] | None = None) -> list[Answer]:
    """Return the answer of a decoder or an encoder-decoder to each request, in the order of the requests.

    seen: for each request the further inputs of the model, {"pixel_values": array}. Such requests share a batch only with prompts of the
    same length, so that no prompt is padded. A prompt that exceeds a decoder's positions loses its first tokens. The batch size changes an
    answer only if two tokens tie within rounding.
    """
    answers = [Answer() for _ in requests]
    for places in _batches([len(request.ids) for request in requests], batch_size, alike=seen is not None):
        columns = [seen[place] for place in places] if seen is not None else []
        found = _batch(model, [requests[place] for place in places], columns)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
    return answers


def _batches(lengths: list[int], size: int, alike: bool) -> Iterator[list[int]]:
    """Yield the indices of prompts of similar length; if `alike`, of equal length."""
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    for length in sorted(set(lengths)) if alike else [None]:
        yield from batched([place for place in order if length in (None, lengths[place])], size)


def _batch(model: Any, requests: list[Request], columns: list[dict]) -> list[Answer]:
    """Answer one batch. An answer that has ended leaves the batch, and its rows leave the cache."""
    answers = [Answer() for _ in requests]
    draws = [Draw(request.sampling) for request in requests]
    alive = [row for row, request in enumerate(requests) if request.sampling.max_tokens > 0]
    head = linear_cross_entropy.head_of(model)
    inputs = _begin(model, [requests[row] for row in alive], [columns[row] for row in alive] if columns else []) if alive else {}
    while alive:
        out = model(**inputs, use_cache=True)
        logits = linear_cross_entropy.logits_of(out.logits[:, -1], head).float()
        tokens = _chosen(logits, [draws[row] for row in alive])
        logs = (logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
        keep = []
        for place, (row, token, log) in enumerate(zip(alive, tokens.tolist(), logs, strict=True)):
            sampling = requests[row].sampling
            if token not in sampling.stop_ids:
                answers[row].ids.append(token)
                answers[row].log_probs.append(log)
                if len(answers[row].ids) < sampling.max_tokens:
                    keep.append(place)
        if keep:
            inputs = _next(inputs, out, tokens, keep)
        alive = [alive[place] for place in keep]
    return answers


def _chosen(logits: torch.Tensor, draws: list[Draw]) -> torch.Tensor:
    """Return the next token of each row: (B,)."""
    if all(draw.plain for draw in draws):
        return logits.argmax(-1)
    return torch.tensor([draw(row) for draw, row in zip(draws, logits.cpu(), strict=True)], device=logits.device)


def _begin(model: Any, requests: list[Request], columns: list[dict]) -> dict:
    """Return the arguments of the first forward. Padding is masked; prompts of one length get no mask and no position ids."""
    rows = [list(request.ids) for request in requests]
    if getattr(model.config, "is_encoder_decoder", False):
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        mask = torch.tensor([[1] * len(row) + [0] * (ids.shape[1] - len(row)) for row in rows])
        read = placed(model, {"input_ids": ids, "attention_mask": mask})
        start = torch.full((len(rows), 1), model.config.decoder_start_token_id, device=ids.device)
        return {
            "encoder_outputs": model.get_encoder()(**read), "attention_mask": read["attention_mask"],
            "decoder_input_ids": placed(model, start),
        }  # fmt: skip
    positions = model.config.get_text_config().max_position_embeddings
    rows = [row[-max(1, positions - request.sampling.max_tokens) :] for row, request in zip(rows, requests, strict=True)]
    width = max(map(len, rows))
    inputs: dict = {"input_ids": torch.tensor([[0] * (width - len(row)) + row for row in rows])}
    if any(len(row) < width for row in rows):
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        inputs |= {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    for name in columns[0] if columns else []:
        inputs[name] = torch.stack([torch.as_tensor(column[name]) for column in columns])
    return placed(model, inputs) | {"logits_to_keep": 1}


def _next(inputs: dict, out: Any, tokens: torch.Tensor, keep: list[int]) -> dict:
    """Return the arguments of the forward after `inputs`, for the rows `keep`."""
    carried = {name: inputs[name] for name in ("attention_mask", "position_ids") if name in inputs}
    cache, encoded = out.past_key_values, inputs.get("encoder_outputs")
    if len(keep) < len(tokens):
        rows = torch.tensor(keep, device=tokens.device)
        cache.batch_select_indices(rows)
        tokens, carried = tokens[rows], {name: value[rows] for name, value in carried.items()}
        if encoded is not None:
            encoded = type(encoded)(last_hidden_state=encoded.last_hidden_state[rows])
    following = {"past_key_values": cache} | carried
    if encoded is not None:
        return following | {"encoder_outputs": encoded, "decoder_input_ids": tokens[:, None]}
    if "position_ids" in carried:
        following["position_ids"] = carried["position_ids"][:, -1:] + 1
        following["attention_mask"] = F.pad(carried["attention_mask"], (0, 1), value=1)
    return following | {"input_ids": tokens[:, None], "logits_to_keep": 1}
