"""Where training runs: devices, micro-batch, workers, compile. Never part of a run's identity."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fmcycle.error import InputError
from fmcycle.number import NonNegativeInt, PositiveInt


@dataclass
class Machine:
    """`micro_batch`: rows that one device takes at a time (null: all that it gets of a step); `threads` null: as many as torch takes.

    `checkpoint_every`: steps; `keep`: how many checkpoints stay; `strategy`: how Lightning spreads the work.
    """

    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"
    devices: PositiveInt = 1
    num_nodes: PositiveInt = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    micro_batch: PositiveInt | None = None
    workers: NonNegativeInt = 0
    threads: PositiveInt | None = None
    compile: bool = False
    checkpoint_every: PositiveInt = 100
    keep: PositiveInt = 2

    @property
    def world(self) -> int:
        """Devices over all nodes."""
        return self.devices * self.num_nodes

    def micro(self, global_batch: int) -> int:
        """Rows that a device takes at a time. Raises InputError where `global_batch` does not divide into them."""
        micro = self.micro_batch or max(1, global_batch // self.world)
        if global_batch % (micro * self.world):
            raise InputError(
                f"budget.global_batch {global_batch} is not divisible by trainer.micro_batch {micro} x {self.devices} devices x "
                f"{self.num_nodes} nodes: choose trainer.micro_batch so that it is"
            )
        return micro

    def accumulate(self, global_batch: int) -> int:
        """Micro-batches of one optimizer step on one device."""
        return global_batch // (self.micro(global_batch) * self.world)

    def lightning(self, budget, checkpoints: Path, **extra: Any):
        """The Lightning Trainer of this machine for `budget`; it reads and writes checkpoints in our format only."""
        import lightning.pytorch as pl
        import torch

        from fmcycle.checkpoint import SafeCheckpointIO

        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its hints and banners drown what a person looks for
        if self.threads:
            torch.set_num_threads(self.threads)
        return pl.Trainer(
            accelerator=self.accelerator,
            devices=self.devices,
            num_nodes=self.num_nodes,
            strategy=_strategy(self.strategy, self.world),
            precision=budget.precision,
            max_steps=budget.max_steps,
            accumulate_grad_batches=self.accumulate(budget.global_batch),
            plugins=[SafeCheckpointIO()],
            default_root_dir=str(checkpoints),
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **extra,
        )

    def prepare(self, model, mesh) -> None:
        """Shard (after strategy and speed) and compile `model` as this machine wants it. mesh: () -> the strategy's device mesh."""
        if self.strategy == "fsdp":
            from torch import nn
            from torch.distributed.fsdp import fully_shard

            blocks = max((module for module in model.modules() if isinstance(module, nn.ModuleList)), key=len)
            for block in blocks:
                fully_shard(block, mesh=mesh())
            fully_shard(model, mesh=mesh())
        if self.compile:
            model.compile()

    def whole(self, module):
        """The trained model of `module` in one piece (every rank must call this where it is sharded)."""
        if self.strategy != "fsdp":
            return module.model
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        state = get_model_state_dict(module.model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        model = module.make_model()
        if module.trainer.is_global_zero:
            model.load_state_dict(state)
        return model


def _strategy(name: str, world: int):
    if name == "fsdp":
        from fmcycle.shard import Sharded

        return Sharded(world)
    if name == "ddp" and world > 1:
        from lightning.pytorch.strategies import DDPStrategy

        return DDPStrategy(find_unused_parameters=False)
    return "auto"
