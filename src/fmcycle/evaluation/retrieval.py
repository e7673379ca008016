"""Does a picture find its caption, and a caption its picture, among all held-out ones?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation.figures import rate
from fmcycle.model.inputs import given, placed
from fmcycle.ranges import PositiveInt


@dataclass
class Retrieval:
    """Recall at `k` both ways over at most `limit` held-out pairs; `baseline/chance_...` is k of all of them.

    data: (split, processor) -> rows with `pixel_values` and `input_ids`. Rows with the same caption count as one another's partners.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 500
    k: PositiveInt = 5
    batch_size: PositiveInt = 64

    def __call__(self, model, processor) -> dict[str, float]:
        rows = self.data(self.split, processor)
        held_out = [rows[index] for index in range(min(self.limit, len(rows)))]
        pictures, texts = self.embedded(model, rows, held_out)
        name = [tuple(each["input_ids"]) for each in held_out]
        same = np.array([[one == other for other in name] for one in name])
        scores, count = pictures @ texts.T, len(held_out)
        return (
            rate(f"text_recall@{self.k}", found(scores, same, self.k))
            | rate(f"image_recall@{self.k}", found(scores.T, same, self.k))
            | {f"baseline/chance_recall@{self.k}": min(1.0, self.k * float(same.sum(1).mean()) / count)}
        )

    @torch.no_grad()
    def embedded(self, model, rows, held_out: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """(pictures, texts), (rows, D) each, of length 1."""
        pictures, texts = [], []
        for begin in range(0, len(held_out), self.batch_size):
            batch = rows.collate(held_out[begin : begin + self.batch_size])
            out = model(**placed(model, given(model, batch)))
            pictures.append(out.image_embeds.float().cpu().numpy())
            texts.append(out.text_embeds.float().cpu().numpy())
        return np.concatenate(pictures), np.concatenate(texts)


def found(scores: np.ndarray, same: np.ndarray, k: int) -> np.ndarray:
    """For each row, is one of its partners among its `k` best? (rows,) bool."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(same, best, axis=1).max(axis=1)
