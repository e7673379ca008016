"""FSDP2 whose checkpoints are the same whole safetensors as everybody's, so that they resume on any number of devices."""

from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, strict=False)
FROM_WHOLE = StateDictOptions(full_state_dict=True, strict=False)


class Sharded(ModelParallelStrategy):
    """Lightning's own writes torch's pickled distributed format; this one gathers to the first rank and goes through the CheckpointIO."""

    def __init__(self, world: int):
        super().__init__(data_parallel_size=world, tensor_parallel_size=1, save_distributed_checkpoint=False)

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
