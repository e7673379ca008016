"""Not a test: the program that test_devices.py runs as one or two processes. Trains LoRA and new tokens on a tied model.

Arguments: folder, devices. Leaves merged.safetensors, and bytes-RANK.json: {"frozen", "trained", "gradient", "optimizer"} of that rank.
"""

import json
import sys
from functools import partial
from pathlib import Path

from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from trained import ragged

from fmcycle.data.datamodule import Data
from fmcycle.kernels import linear_cross_entropy
from fmcycle.model import store as model_store
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.adamw import adamw
from fmcycle.training.budget import Budget
from fmcycle.training.module import Module, fit
from fmcycle.training.recipe import Recipe
from fmcycle.training.trainer import TrainerConfig

LORA = LoraConfig(r=2, target_modules="all-linear", trainable_token_indices=[1, 2, 3])


def held(tensors) -> int:
    """Bytes that this rank holds of `tensors`."""
    local = [getattr(tensor, "_local_tensor", tensor) for tensor in tensors]
    return sum(tensor.numel() * tensor.element_size() for tensor in local)


def main(folder: Path, devices: int) -> None:
    budget = Budget(max_steps=6, global_batch=8, validate_every=3, validation_rows=5)
    machine = TrainerConfig(devices=devices, strategy="fsdp" if devices > 1 else "auto", micro_batch=2, threads=1, checkpoint_every=2)
    data = {"train": ragged(), "validation": ragged()}
    optimizer, strategy = partial(adamw, lr=1e-2), partial(get_peft_model, peft_config=LORA)
    recipe = Recipe(lambda weights: model_store.load_model(folder.parent / "base")[0], SFT(), strategy, optimizer, data, budget, machine)
    folder.mkdir(parents=True, exist_ok=True)
    module = Module(recipe, folder=folder)
    gradients: list[int] = []
    module.on_before_zero_grad = lambda optimizer: gradients.append(held(p.grad for p in module.parameters() if p.grad is not None))
    trainer = machine.lightning(budget, folder)
    fit(trainer, module, Data(**data, budget=budget, machine=machine))
    states = [tensor for state in trainer.optimizers[0].state.values() for tensor in state.values() if tensor.ndim]
    trained = [p for p in module.parameters() if p.requires_grad]
    frozen = [p for p in module.parameters() if not p.requires_grad]
    sizes = {"frozen": held(frozen), "trained": held(trained), "gradient": max(gradients), "optimizer": held(states)}
    (folder / f"bytes-{trainer.global_rank}.json").write_text(json.dumps(sizes))
    model = machine.whole(module)
    if trainer.is_global_zero:
        merged = linear_cross_entropy.plain(model).eval().merge_and_unload()
        save_file({name: p.detach().contiguous() for name, p in merged.named_parameters()}, folder / "merged.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
