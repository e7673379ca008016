"""The LightningDataModule of every dataset."""

from collections.abc import Iterator

import lightning.pytorch as pl
from torch.utils.data import DataLoader

from fmcycle.data.order import held_out
from fmcycle.data.protocol import Reported, Rows
from fmcycle.data.stream import Stream
from fmcycle.training import signals


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
