"""Bits per byte and perplexity of held-out documents, by strided windows."""

import math
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from fmcycle.errors import InputError
from fmcycle.evaluation import need, ngram
from fmcycle.evaluation.figures import mean, row
from fmcycle.evaluation.held_out import held_out
from fmcycle.model import store as model_store
from fmcycle.model.inputs import batched
from fmcycle.ranges import ExistingPath, NonNegativeInt, PositiveInt
from fmcycle.statistics.interval import ratio


def encode(processor, texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text, with no special token added or recognised."""
    return processor(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"] if texts else []


def documents(processor, texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text after an end-of-text token, as in training."""
    return [[processor.eos_token_id, *ids] for ids in encode(processor, texts)]


def windows(length: int, context: int, stride: int) -> list[tuple[int, int, int]]:
    """Return (start, end, first) of each window over a sequence of `length` tokens; it scores the targets first..end-1.

    Every target from 1 to length-1 is scored once, after at least context-stride tokens if as many precede it.
    """
    found, first = [], 1
    while first < length:
        end = min(length, context + 1 if first == 1 else first + stride)
        found.append((max(0, end - context - 1), end, first))
        first = end
    return found


@torch.no_grad()
def token_losses(model, sequences: list[list[int]], *, context: int, stride: int, batch_size: int, observe=None) -> list[np.ndarray]:
    """Return the negative log-likelihood in nats of every token but the first of each sequence: a list of (length - 1,) arrays.

    Windows are padded on the right, which a causal model can't see, so the batch size changes nothing but rounding.
    `observe(logits, targets)` gets each batch, with target -100 for tokens that are not scored.
    """
    losses = [np.zeros(max(0, len(sequence) - 1)) for sequence in sequences]
    jobs = [
        (end - start, index, start, end, first)
        for index, ids in enumerate(sequences)
        for start, end, first in windows(len(ids), context, stride)
    ]
    jobs.sort()
    for batch in batched(jobs, batch_size):
        ids = torch.zeros(len(batch), batch[-1][0], dtype=torch.long)
        targets = torch.full_like(ids[:, 1:], -100)
        for place, (length, index, start, end, first) in enumerate(batch):
            ids[place, :length] = torch.tensor(sequences[index][start:end])
            targets[place, first - 1 - start : length - 1] = ids[place, first - start : length]
        logits, targets = model(input_ids=ids[:, :-1].to(model.device), use_cache=False).logits.float(), targets.to(model.device)
        nats = cross_entropy(logits.transpose(1, 2), targets, reduction="none").cpu().double().numpy()
        if observe is not None:
            observe(logits, targets)
        for place, (_, index, start, end, first) in enumerate(batch):
            losses[index][first - 1 : end - 1] = nats[place, first - 1 - start : end - 1 - start]
    return losses


def check_context(model, context: int | None) -> int:
    """Return `context`, or the number of the model's positions. Raises InputError if it exceeds them."""
    positions = model.config.max_position_embeddings
    if context is not None and context > positions:
        raise InputError(
            f"evaluation context {context} exceeds the model's {positions} positions: lower it or raise model.max_position_embeddings"
        )
    return context or positions


def in_bits(losses: list[np.ndarray]) -> np.ndarray:
    """Return the bits of each sequence of `token_losses`: (sequences,)."""
    return np.array([loss.sum() / math.log(2) for loss in losses])


@dataclass
class BitsPerByte:
    """Bits per UTF-8 byte, and perplexity per token, of held-out documents.

    A document is scored after an end-of-text token, which is not scored itself. Interval: bootstrap over documents; n: bytes, tokens.
    `reference`: folder of a model with the same processor. `reference/bits_per_byte` is its figure, and `bits_per_byte_rise` this
    model minus that one, paired over the same documents: what was forgotten since. `baseline`: also report Deflate (zlib, level 9).
    count: also report a modified Kneser-Ney 5-gram of the training documents, of at most so many of their tokens, and
    `bits_per_byte_under_baseline`, that minus the model's, paired over documents.
    Source: Gao et al., The Pile (2020), section 3.1.
    """

    documents: ExistingPath
    reference: ExistingPath | None = None
    split: str = "test"
    half: Literal["both", "first", "second"] = "both"
    limit: PositiveInt | None = 400
    context: PositiveInt | None = None
    stride: PositiveInt | None = None
    batch_size: PositiveInt = 16
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = ("kneser_ney_5gram",)  # of all training text, on the same documents
    baseline: bool = False
    count: PositiveInt | None = None

    gives = ("bits_per_byte", "perplexity")

    def rows(self) -> list[dict]:
        """Return the documents to score."""
        return held_out(self.documents, self.split, self.limit, self.half)

    def check(self, model, processor) -> str:
        """Return what is to be told of the documents. Raises InputError if the model does not read `context` tokens."""
        need.writes(model)
        check_context(model, self.context)
        return need.rows(self.rows(), self.documents, self.split)

    def __call__(self, model, processor) -> dict[str, float]:
        from torchmetrics.text import Perplexity

        texts = [document["text"] for document in self.rows()]
        context = check_context(model, self.context)
        sequences = documents(processor, texts)
        exact, stride = Perplexity(ignore_index=-100).to(model.device), self.stride or (context + 1) // 2
        losses = token_losses(model, sequences, context=context, stride=stride, batch_size=self.batch_size, observe=exact.update)
        nats, tokens = [loss.sum() for loss in losses], [len(loss) for loss in losses]
        sizes = [len(text.encode()) for text in texts]
        options = {"resamples": self.resamples, "seed": self.seed}
        bits = mean("bits_per_byte", in_bits(losses), sizes, **options)
        if self.reference is not None:
            other = model_store.load_model(self.reference, model.device, model.dtype)[0]
            before = token_losses(other, sequences, context=check_context(other, context), stride=stride, batch_size=self.batch_size)
            bits |= mean("reference/bits_per_byte", in_bits(before), sizes, **options)
            bits |= mean("bits_per_byte_rise", in_bits(losses) - in_bits(before), sizes, **options)
        _, low, high = ratio(nats, tokens, **options)
        perplexity = exact.compute().item() if texts else math.nan
        if self.baseline:
            bits |= mean("baseline/deflate_bits_per_byte", [8 * len(zlib.compress(text.encode(), 9)) for text in texts], sizes, **options)
        if self.count:
            bits |= self._counted(model, processor, sequences, nats, sizes)
        return bits | row("perplexity", perplexity, math.exp(low), math.exp(high), sum(tokens))

    def _counted(self, model, processor, sequences: list[list[int]], nats: list[float], sizes: list[int]) -> dict[str, float]:
        """Return the 5-gram's bits per byte of the same documents, the paired difference and the number of tokens counted."""
        assert self.count is not None
        vocabulary = model.config.get_text_config().vocab_size
        found, tokens = ngram.bits(self.documents, lambda texts: documents(processor, texts), sequences, vocabulary, self.count)
        if not found:
            return {}  # a table without training documents
        options = {"resamples": self.resamples, "seed": self.seed}
        under = np.array(found) - np.array(nats) / math.log(2)
        return (
            mean("baseline/kneser_ney_5gram_bits_per_byte", found, sizes, **options)
            | mean("bits_per_byte_under_baseline", under, sizes, **options)
            | {"counted_tokens": tokens}
        )
