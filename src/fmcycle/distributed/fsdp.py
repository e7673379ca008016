"""FSDP2: weights, gradients and optimizer state in shards, one block of the model gathered at a time.

Every parameter is sharded separately: a frozen one has no gradient and no optimizer state, and is not in a checkpoint. Checkpoints are
whole safetensors like those of other strategies, so they resume on any number of devices.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from fmcycle.distributed.launcher import launcher, meet

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, strict=False)
TRAINED = StateDictOptions(full_state_dict=True, cpu_offload=True, strict=False, ignore_frozen_params=True)
FROM_WHOLE = StateDictOptions(full_state_dict=True, strict=False)


class Sharded(ModelParallelStrategy):
    """Gathers checkpoints to the first rank and writes them by CheckpointIO; Lightning's strategy would write torch's pickled format."""

    def __init__(self, world: int):
        super().__init__(data_parallel_size=world, tensor_parallel_size=1, save_distributed_checkpoint=False)

    def _configure_launcher(self) -> None:
        self._launcher = launcher(self)

    def _setup_distributed(self) -> None:
        meet(self)
        super()._setup_distributed()

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning restores the optimizer by itself only from its distributed format; from a whole checkpoint it must be told to."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.model is not None
        return get_model_state_dict(self.model, options=TRAINED)  # gathers no frozen weights: a checkpoint leaves them out

    def optimizer_state(self, optimizer) -> dict[str, Any]:
        assert self.model is not None
        return get_optimizer_state_dict(self.model, getattr(optimizer, "_optimizer", optimizer), options=WHOLE)

    def load_checkpoint(self, checkpoint_path, weights_only=None) -> dict[str, Any]:
        return self.checkpoint_io.load_checkpoint(checkpoint_path)

    def load_model_state_dict(self, checkpoint, strict: bool = True) -> None:
        assert self.model is not None
        set_model_state_dict(self.model, checkpoint["state_dict"], options=FROM_WHOLE)

    def load_optimizer_state_dict(self, checkpoint) -> None:
        assert self.model is not None
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            set_optimizer_state_dict(self.model, optimizer, state, options=FROM_WHOLE)


@contextmanager
def skeleton(first: bool) -> Iterator[None]:
    """Give models made in the block weights on the first rank only; on others they are meta tensors, which `shard` fills."""
    with torch.device("cpu" if first else "meta"):
        yield


def shard(model: nn.Module, mesh, precision: str) -> None:
    """Shard `model` over `mesh`, block by block: ranks other than the first never hold more of it than their shards and one block.

    In mixed precision, blocks are gathered in bfloat16 and gradients are summed in fp32.
    """
    mixed = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    policy = mixed if precision == "bf16-mixed" else MixedPrecisionPolicy()
    device = torch.device(mesh.device_type)
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")  # the view is read, never written
    for block in max((module for module in model.modules() if isinstance(module, nn.ModuleList)), key=len):
        _fill(block, device)
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    _fill(model, device)
    # embeddings and head stay gathered after the forward: the loss reads the head, and the backward begins there
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)


def _fill(module: nn.Module, device: torch.device) -> None:
    """Give every weight and buffer of `module` that is not sharded yet the first rank's value; tied tensors stay tied."""
    made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # keeps the old tensor alive, so that its id is not used again
    for owner in module.modules():
        tables: tuple[dict[str, Any], ...] = (owner._parameters, owner._buffers)
        for table in tables:
            for name, tensor in table.items():
                if tensor is None or isinstance(tensor, DTensor):
                    continue
                if id(tensor) not in made:
                    made[id(tensor)] = (tensor, _of_first(tensor, device))
                table[name] = made[id(tensor)][1]


def _of_first(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    if not tensor.is_meta:
        tensor.data = tensor.data.to(device).contiguous()
        distributed.broadcast(tensor.data, 0)
        return tensor
    value = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    distributed.broadcast(value, 0)
    return nn.Parameter(value, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else value


def gather(module):
    """Return the whole trained model of `module` on the first rank, None on the others; every rank must call it."""
    state = get_model_state_dict(module.model, options=TRAINED)
    if not module.trainer.is_global_zero:
        return None
    model = module.recipe.model()  # reads the frozen weights again
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained <= set(state), trained - set(state)
    model.load_state_dict(state, strict=False)
    return model
