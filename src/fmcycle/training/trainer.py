"""Devices, precision, micro-batch, workers and compile of a stage. Never part of a run's identity."""

import logging
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fmcycle.distributed import rank
from fmcycle.errors import InputError
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class TrainerConfig:
    """`micro_batch`: rows that a device computes at a time; null: its whole share of a step; fit: as many as its memory holds.

    `precision`: of evaluations and engines; the budgets of conf/budget take it over, and there it is part of identity.
    `threads` null: torch's default.

    `gradient_checkpointing`: recomputes activations in the backward pass: less memory, a third more time.
    `checkpoint_every`: steps; `keep`: number of checkpoints kept; `sample_every`: steps between two samples, 0: no samples;
    `strategy`: Lightning's way to distribute training.
    """

    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"
    devices: PositiveInt = 1
    num_nodes: PositiveInt = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "bf16-true"] = "32-true"
    micro_batch: PositiveInt | Literal["fit"] | None = None
    workers: NonNegativeInt = 0
    threads: PositiveInt | None = None
    compile: bool = False
    gradient_checkpointing: bool = False
    checkpoint_every: PositiveInt = 100
    keep: PositiveInt = 2
    sample_every: NonNegativeInt = 0

    @property
    def world(self) -> int:
        """Number of devices over all nodes."""
        return self.devices * self.num_nodes

    @property
    def device(self):
        """The torch.device of one process: an accelerator if one is asked for and torch sees it, else the CPU."""
        import torch

        if self.accelerator != "cpu" and torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if self.accelerator != "cpu" and torch.backends.mps.is_available() else "cpu")

    @property
    def dtype(self):
        """The torch.dtype of models that are loaded for evaluation or generation."""
        import torch

        return torch.float32 if self.precision == "32-true" else torch.bfloat16

    @property
    def computes(self) -> str:
        """Device and dtype in one word, for records and file names: cpu-float32."""
        return f"{self.device.type}-{str(self.dtype).removeprefix('torch.')}"

    def computing(self, precision: str):
        """Return the autocast context in which a training step of `precision` computes."""
        import torch

        return torch.autocast(self.device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()

    def slow(self, precision: str, key: str = "trainer.precision") -> str:
        """Return a warning if `precision` is fp32 on a GPU, else "". key: the setting to change."""
        if precision != "32-true" or self.accelerator == "cpu" or self.device.type == "cpu":  # in this order: the CPU needs no torch
            return ""
        return f"fp32 on a GPU, several times slower there than bf16: {key}=bf16-mixed changes it"

    @contextmanager
    def products(self, precision: str):
        """Allow TF32 matrix products on a GPU inside this context, unless `precision` is pure fp32."""
        import torch

        before = torch.get_float32_matmul_precision()
        if self.device.type == "cuda" and precision != "32-true":
            torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def check(self, trains: bool = True) -> None:
        """Raise InputError if this machine lacks the devices, or if the launcher of a training started another number of ranks."""
        if trains:
            rank.check_world(self.devices, self.num_nodes)
        if self.accelerator == "cpu":
            return
        import torch

        found = torch.cuda.device_count() or torch.mps.device_count()
        if self.accelerator == "gpu" and not found:
            raise InputError(
                "trainer.accelerator is gpu, but torch sees no GPU on this machine: choose trainer=cpu, or trainer.accelerator=cpu"
            )
        if trains and found and self.devices > found:
            raise InputError(f"trainer.devices is {self.devices}, this machine has {found}: choose trainer.devices={found}")

    def micro(self, global_batch: int) -> int:
        """Return the rows that a device computes at a time. Raises InputError if `global_batch` is no multiple of them."""
        micro = self.micro_batch if isinstance(self.micro_batch, int) else max(1, global_batch // self.world)
        if global_batch % (micro * self.world):
            raise InputError(
                f"budget.global_batch {global_batch} is not divisible by trainer.micro_batch {micro} x {self.devices} devices x "
                f"{self.num_nodes} nodes: choose trainer.micro_batch so that it is"
            )
        return micro

    def accumulate(self, global_batch: int) -> int:
        """Return the number of micro-batches of one optimizer step on one device."""
        return global_batch // (self.micro(global_batch) * self.world)

    def lightning(self, budget, checkpoints: Path, **extra: Any):
        """Return Lightning's Trainer of this machine for `budget`; it reads and writes checkpoints in our format only."""
        import lightning.pytorch as pl
        import torch

        from fmcycle.distributed.launcher import environment
        from fmcycle.training.checkpoint import SafeCheckpointIO

        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # hides its hints and banners
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
            plugins=[SafeCheckpointIO(), environment()],
            default_root_dir=str(checkpoints),
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **{"logger": False} | extra,
        )

    def as_began(self, recorded: dict[str, Any]) -> "TrainerConfig":
        """Return this machine with `threads` and `compile` of the run to resume: other values would change its last bits."""
        import torch
        from lightning.pytorch.utilities import rank_zero_only

        say = rank_zero_only(print)
        for name, asked in (("threads", self.threads or torch.get_num_threads()), ("compile", self.compile)):
            if recorded[name] != asked:
                say(f"resumes with trainer.{name}={str(recorded[name]).lower()}, as it began, not {str(asked).lower()}", flush=True)
        torch.set_num_threads(recorded["threads"])
        return replace(self, **recorded)

    def building(self, first: bool):
        """Return the context in which ranks build the model: with FSDP only the first rank initialises its weights."""
        if self.strategy != "fsdp":
            return nullcontext()
        from fmcycle.distributed.fsdp import skeleton

        return skeleton(first)

    def prepare(self, model, mesh, precision: str) -> None:
        """Set gradient checkpointing, shard and compile `model` as configured. mesh: () -> the strategy's device mesh."""
        if self.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        if self.strategy == "fsdp":
            from fmcycle.distributed.fsdp import shard

            shard(model, mesh(), precision)
        if self.compile:
            from fmcycle.kernels import linear_cross_entropy

            linear_cross_entropy.check_compiler(self.accelerator)
            model.compile()

    def whole(self, module):
        """Return the trained model of `module`, unsharded, on the first rank. Every rank must call this; the process group ends here."""
        if self.strategy == "fsdp":
            from fmcycle.distributed.fsdp import gather

            model = gather(module)
        else:
            model = module.model
        rank.part()
        return model


def _strategy(name: str, world: int):
    if name == "fsdp":
        from fmcycle.distributed.fsdp import Sharded

        return Sharded(world)
    if world > 1:
        from fmcycle.distributed.launcher import DDP

        return DDP(find_unused_parameters=False)
    return "auto"
