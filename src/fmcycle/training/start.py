"""Takes the weights, and the optimizer's state if it fits, from a checkpoint of another run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmcycle.errors import InputError

WEIGHTS = "/state_dict/model."  # what a checkpoint calls a trained weight of the module's model


@dataclass(frozen=True)
class Start:
    """The checkpoint in `folder`. anew: why its optimizer state is left behind; "" if it is taken."""

    folder: Path
    anew: str = ""

    def check(self, model: Any) -> None:
        """Raise InputError if `model` trains other weights than the checkpoint holds, or in other shapes. Reads no weight."""
        own = {name: tuple(parameter.shape) for name, parameter in _trained(model).items()}
        with _tensors(self.folder) as file:
            there = {key.removeprefix(WEIGHTS): tuple(file.get_slice(key).get_shape()) for key in file.keys() if key.startswith(WEIGHTS)}  # noqa: SIM118
        if more := sorted(own.keys() - there.keys()) or sorted(there.keys() - own.keys()):
            raise InputError(
                f"init_from: {self.folder} holds {len(there)} trained weights, and this run trains {len(own)}; {more[0]} is only in one: "
                f"choose the model and strategy of that run, or begin from its exported model with inputs.model=FOLDER"
            )
        for name, shape in own.items():
            if shape != there[name]:
                raise InputError(
                    f"init_from: {name} has the shape {there[name]} in {self.folder} and {shape} here: choose the sizes of that run"
                )

    def into(self, model: Any) -> None:
        """Copy the checkpoint's weights into `model`; a rank that holds none of them (meta tensors) copies nothing."""
        import torch

        self.check(model)
        with _tensors(self.folder) as file, torch.no_grad():
            for name, parameter in _trained(model).items():
                if not parameter.is_meta:
                    parameter.copy_(file.get_tensor(WEIGHTS + name))

    def into_optimizer(self, optimizer: Any) -> None:
        """Give `optimizer` the checkpoint's state unless it begins anew; its rates and other settings stay."""
        if self.anew:
            return
        from fmcycle.training import checkpoint

        state: dict[str, Any] = checkpoint.SafeCheckpointIO().load_checkpoint(self.folder)["optimizer_states"][0]
        optimizer.load_state_dict({"state": state["state"], "param_groups": optimizer.state_dict()["param_groups"]})

    def told(self) -> str:
        """Return what a run takes from the checkpoint, and what it begins anew."""
        state = f"its weights; the optimizer's state begins anew ({self.anew})" if self.anew else "its weights and its optimizer's state"
        return f"begins from {self.folder}: takes {state}; steps, schedule and the order of rows begin anew"


def start_of(cfg: Any) -> Start | None:
    """Return where the run of `cfg` begins; None if it begins from its own model."""
    if not getattr(cfg, "init_from", None):
        return None
    folder = Path(cfg.init_from)
    before = json.loads((folder.parent / "run.json").read_text())["section"]
    sharded = cfg.trainer.get("strategy") == "fsdp" or _sharded(folder)
    other = next((key for key in ("optimizer", "objective") if before[key]["_target_"] != getattr(cfg, key)["_target_"]), None)
    return Start(folder, "it is sharded" if sharded else f"that run had another {other}" if other else "")


def _sharded(folder: Path) -> bool:
    """True if the optimizer's state is that of a sharded run, which names its weights where others number them."""
    with _tensors(folder) as file:
        names = [key.split("/")[4] for key in file.keys() if key.startswith("/optimizer_states/0/state/")]  # noqa: SIM118
    return not all(name.isdigit() for name in names)


def _tensors(folder: Path):
    from safetensors import safe_open

    return safe_open(str(folder / "tensors.safetensors"), framework="pt")


def _trained(model) -> dict[str, Any]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
