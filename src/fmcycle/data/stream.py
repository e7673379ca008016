"""An endless stream of micro-batches that starts at any optimizer step; apart from Lightning, whose import takes a plan seconds."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from fmcycle.data.order import rows_of_step
from fmcycle.data.protocol import Rows


class Stream(IterableDataset):
    """Micro-batches of one rank from optimizer step `start` on; a step's rows are the same for any number of ranks and micro-batches."""

    def __init__(self, rows: Rows, *, seed: int, global_batch: int, micro: int, rank: int, world: int, start: int):
        self.rows, self.seed, self.global_batch, self.micro = rows, seed, global_batch, micro
        self.rank, self.world, self.start = rank, world, start

    def __iter__(self) -> Iterator[dict]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        number, step = 0, self.start
        while True:
            for indices in self.micro_batches(step):
                if number % workers == worker:  # Lightning polls workers in turn: same order as one process
                    yield self.rows.collate([self.rows[int(index)] for index in indices]) | {"rows": torch.from_numpy(indices)}
                number += 1
            step += 1

    def micro_batches(self, step: int) -> list[np.ndarray]:
        """Return the row indices of each of this rank's micro-batches of `step`; similar lengths share one, to save padding."""
        indices = rows_of_step(self.rows, self.seed, step, self.global_batch)
        if self.rows.lengths is not None:
            indices = indices[np.argsort(-self.rows.lengths[indices], kind="stable")]
        parts = indices.reshape(-1, self.world, self.micro)
        return [part[self.rank] for part in parts]
