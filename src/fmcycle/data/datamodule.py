"""The LightningDataModule of every dataset: an endless stream of micro-batches that starts at any optimizer step."""

from collections.abc import Iterator

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from fmcycle.data.order import held_out, rows_of_step
from fmcycle.data.protocol import Reported, Rows
from fmcycle.training import signals


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


class Data(pl.LightningDataModule):
    """`train`, `validation`: the rows of either split; `budget` and `machine` set batch, ranks and workers."""

    def __init__(self, train: Rows, validation: Rows, budget, machine):
        super().__init__()
        self.train, self.validation, self.budget, self.machine = train, validation, budget, machine

    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        if isinstance(self.train, Reported) and self.trainer.is_global_zero:
            print(self.train.report(self.budget), flush=True)
        stream = Stream(
            self.train,
            seed=self.budget.seed,
            global_batch=self.budget.global_batch,
            micro=self.machine.micro(self.budget.global_batch),
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
            start=self.trainer.global_step,
        )
        return DataLoader(stream, batch_size=None, num_workers=self.machine.workers, worker_init_fn=signals.left_to_parent)

    def validation_batches(self) -> Iterator[dict]:
        """Yield this rank's share of the first `budget.validation_rows` rows of the validation split, in micro-batches.

        Every rank gets the same number, because ranks of a sharded model wait for each other; batches marked "spare" do not count.
        """
        assert self.trainer is not None
        rank, world = self.trainer.global_rank, self.trainer.world_size
        every = held_out(self.validation, self.budget.validation_rows)
        micro = self.machine.micro(self.budget.global_batch)
        for begin in range(0, -(-len(every) // world), micro):
            indices = every[rank::world][begin : begin + micro]
            batch = self.validation.collate([self.validation[int(index)] for index in (indices if len(indices) else every[:1])])
            yield batch if len(indices) else batch | {"spare": True}
