"""Sequence-to-sequence objectives for encoder-decoders: predict a text from another text or audio, or its removed spans."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fmcycle.kernels import linear_cross_entropy
from fmcycle.model.inputs import given
from fmcycle.ranges import Fraction, PositiveFloat


@dataclass
class Seq2Seq:
    """Cross-entropy of `decoder_labels` (B, S) given `input_ids` (B, T) or `input_features`; -100 is no target."""

    def __call__(self, model, batch):
        labels = batch["decoder_labels"]
        output = model(**given(model, batch), decoder_input_ids=shifted(model, labels), use_cache=False).logits
        return {"loss": linear_cross_entropy.cross_entropy(output, model.get_output_embeddings(), labels), "count": (labels != -100).sum()}


@dataclass
class SpanCorruption:
    """Replaces spans of `input_ids` (B, T) by a sentinel each; the decoder predicts the removed spans.

    share: of removed tokens; span: mean length of a span. The sentinels are the model's ids from its last one down, which
    the processor must not use. Source: Raffel et al., T5 (2020), section 3.1.4.
    """

    share: Fraction = 0.15
    span: PositiveFloat = 3.0

    def __call__(self, model, batch):
        inputs, labels = self.corrupted(batch["input_ids"], model.config.vocab_size - 1, model.config.eos_token_id or 0)
        output = model(input_ids=inputs, decoder_input_ids=shifted(model, labels), use_cache=False).logits
        return {"loss": linear_cross_entropy.cross_entropy(output, model.get_output_embeddings(), labels), "count": labels.numel()}

    def corrupted(self, ids: Tensor, last: int, end: int) -> tuple[Tensor, Tensor]:
        """Return (encoder input (B, T - taken + spans), decoder labels (B, taken + spans + 1)); sentinels are last, last - 1 ..."""
        rows, size = ids.shape
        taken = min(max(1, round(size * self.share)), size - 1)
        spans = min(max(1, round(taken / self.span)), taken, size - taken)
        lengths = torch.stack([parts(rows, size - taken, spans), parts(rows, taken, spans)], -1).flatten()  # kept, taken, kept ...
        piece = torch.arange(2 * spans).repeat(rows).repeat_interleave(lengths).view(rows, size).to(ids.device)
        out, sentinel = piece % 2 == 1, last - piece // 2
        first = out & (piece != piece.roll(1, 1))
        inputs = torch.where(first, sentinel, ids)[~out | first].view(rows, -1)
        said = torch.stack([sentinel, ids], -1)[torch.stack([first, out], -1)].view(rows, -1)
        return inputs, torch.cat([said, said.new_full((rows, 1), end)], 1)


def parts(rows: int, total: int, count: int) -> Tensor:
    """Return `count` positive integers that sum up to `total`, drawn uniformly: (rows, count)."""
    # integers: a plan of the run can draw them too
    cuts = torch.randint(2**62, (rows, total - 1)).argsort(1)[:, : count - 1].sort(1).values + 1
    edges = torch.cat([cuts.new_zeros(rows, 1), cuts, cuts.new_full((rows, 1), total)], 1)
    return edges.diff(dim=1)


def shifted(model, labels: Tensor) -> Tensor:
    """Return the decoder's input: its start token, then the labels shifted one place to the right."""
    start, pad = (getattr(model.config, name, None) or 0 for name in ("decoder_start_token_id", "pad_token_id"))
    begun = torch.cat([labels.new_full((len(labels), 1), start), labels[:, :-1]], 1)
    return begun.masked_fill(begun == -100, pad)


def example() -> dict:
    """Return an encoder-decoder with pairs of texts."""
    from transformers import T5Config, T5ForConditionalGeneration

    from fmcycle.config.example import TOKENS, tokens

    sizes = TOKENS | {"vocab_size": 80, "d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
    model = T5ForConditionalGeneration(T5Config(**sizes | {"decoder_start_token_id": 0}))
    rows = tokens()
    return {"model": model, "batch": {"input_ids": rows["input_ids"], "decoder_labels": rows["labels"].flip(1)}}
