"""Checkpoints for resuming: tensors in safetensors, the rest in JSON, the manifest last. No pickle."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors.torch import load_file, save_file

from fmcycle import artifact, durable
from fmcycle.error import InputError


def flatten(value: Any, tensors: dict[str, torch.Tensor], name: str = "") -> Any:
    """`value` as JSON data, its tensors put into `tensors` under their path. Raises TypeError for what is neither.

    Dicts become {"dict": [[key, value], ...]}, because optimizers number their parameters with ints, which JSON keys are not.
    """
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, flatten(item, tensors, f"{name}/{key}")] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [flatten(item, tensors, f"{name}/{index}") for index, item in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds tensors and plain data; {name} is a {type(value).__name__}")


def restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The inverse of `flatten`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: restore(item, tensors) for key, item in content}
    items = [restore(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


class SafeCheckpointIO(CheckpointIO):
    """Lightning's door to a checkpoint folder: state.json, tensors.safetensors, manifest.json."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path, storage_options=None) -> None:
        """Write `checkpoint` so that a kill at any moment leaves a whole folder or none."""
        tensors: dict[str, torch.Tensor] = {}
        state = flatten(checkpoint, tensors)
        with artifact.create(path) as partial:
            save_file(tensors, str(partial / "tensors.safetensors"))
            durable.write_json(partial / "state.json", state)

    def load_checkpoint(self, path, map_location=None, weights_only=None) -> dict[str, Any]:
        """The dict that was saved; its manifest was verified by `latest`."""
        return restore(json.loads((Path(path) / "state.json").read_text()), load_file(str(Path(path) / "tensors.safetensors")))

    def remove_checkpoint(self, path) -> None:
        """Delete a checkpoint folder."""
        shutil.rmtree(path, ignore_errors=True)


def latest(folder: str | Path) -> Path | None:
    """The newest checkpoint of `folder` that its manifest vouches for; a warning names every corrupt one that is passed over."""
    for path in sorted(Path(folder).glob("step-*"), reverse=True):
        try:
            if not (path / artifact.MANIFEST).is_file():
                raise InputError(f"{path}: no manifest, it was never finished")
            artifact.verify(path)
        except InputError as error:
            warnings.warn(f"checkpoint passed over: {error}", stacklevel=2)
            continue
        return path
    return None


def machine(path: str | Path) -> dict[str, Any]:
    """{"threads", "compile"} with which the run of checkpoint `path` began: other ones would add up its sums in another order."""
    state = dict(json.loads((Path(path) / "state.json").read_text())["dict"])
    return restore(state["machine"], {})


def keep_last(folder: str | Path, count: int) -> None:
    """Delete all but the newest `count` checkpoints of `folder`."""
    paths = sorted(Path(folder).glob("step-*"))
    for path in paths[: len(paths) - count]:
        shutil.rmtree(path)
