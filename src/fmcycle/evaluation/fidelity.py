"""How far a compressed model's predictions differ from the original's."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation import need
from fmcycle.evaluation.bits_per_byte import documents, token_losses
from fmcycle.evaluation.figures import mean
from fmcycle.evaluation.held_out import texts
from fmcycle.model import store as model_store
from fmcycle.ranges import ExistingPath, NonNegativeInt, PositiveInt


@dataclass
class Fidelity:
    """Compares the model with `reference` (a folder) on held-out documents, token by token, each document cut to the model's positions.

    `bits_per_byte_loss`: this model's minus the reference's; `top1_agreement`: share of positions where both predict the same token;
    `kl`: KL(reference || model) in nats per token. Intervals: bootstrap over documents.
    """

    documents: ExistingPath
    reference: ExistingPath
    split: str = "test"
    limit: PositiveInt = 60
    batch_size: PositiveInt = 8
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = "none: the difference is paired with the original model"

    def check(self, model, processor) -> str:
        """Return what is to be told of the documents."""
        need.writes(model)
        return need.rows(texts(self.documents, self.split, self.limit), self.documents, self.split)

    @torch.no_grad()
    def __call__(self, model, processor) -> dict[str, float]:
        reference = model_store.load_model(self.reference, model.device, model.dtype)[0]
        positions = model.config.max_position_embeddings
        read = documents(processor, texts(self.documents, self.split, self.limit))
        sequences = [ids[:positions] for ids in read]
        agreed, divergence = [], []
        for sequence in sequences:
            ids = torch.tensor([sequence], device=model.device)
            wanted, found = (each(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1) for each in (reference, model))
            agreed.append((wanted.argmax(-1) == found.argmax(-1)).sum().item())
            divergence.append((wanted.exp() * (wanted - found)).sum().item())
        tokens, options = [len(sequence) for sequence in sequences], {"resamples": self.resamples, "seed": self.seed}
        windows = {"context": positions - 1, "stride": positions // 2, "batch_size": self.batch_size}
        bits = [np.array([loss.sum() / math.log(2) for loss in token_losses(each, sequences, **windows)]) for each in (model, reference)]
        sizes = [len(processor.decode(sequence[1:]).encode()) for sequence in sequences]
        return (
            mean("bits_per_byte", bits[0], sizes, **options)
            | mean("reference/bits_per_byte", bits[1], sizes, **options)
            | mean("bits_per_byte_loss", bits[0] - bits[1], sizes, **options)
            | mean("top1_agreement", agreed, tokens, **options)
            | mean("kl", divergence, tokens, **options)
        )
