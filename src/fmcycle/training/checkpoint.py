"""Writes and reads checkpoints for resuming: tensors in safetensors, all else in JSON, the manifest last. No pickle."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors.torch import load_file

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.errors import DiskFull, InputError, TrainingError

NAMES = {  # dtype names of the safetensors format
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def flatten(value: Any, tensors: dict[str, torch.Tensor], name: str = "") -> Any:
    """Return `value` as JSON data and move its tensors into `tensors`, keyed by path. Raises TypeError for any other type.

    Dicts become {"dict": [[key, value], ...]}, because optimizers number their parameters with ints, and JSON keys are strings.
    """
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, flatten(item, tensors, f"{name}/{key}")] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [flatten(item, tensors, f"{name}/{index}") for index, item in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds tensors and plain data; {name} is a {type(value).__name__}")


def restore(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Invert `flatten`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: restore(item, tensors) for key, item in content}
    items = [restore(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write `tensors` to a safetensors file, copying one at a time from its device, so that host memory never holds them all twice."""
    header: dict[str, Any] = {}
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))  # widest dtype first, so that all are aligned
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in ordered:
            file.write(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


class SafeCheckpointIO(CheckpointIO):
    """Lightning plugin for our checkpoint folders: state.json, tensors.safetensors, manifest.json."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path, storage_options=None) -> None:
        """Write `checkpoint` so that a kill at any moment leaves a whole folder or none. Raises TrainingError if the disk is full."""
        tensors: dict[str, torch.Tensor] = {}
        state = flatten(checkpoint, tensors)
        try:
            with artifact.create(path, ours=True) as partial:
                write_tensors(partial / "tensors.safetensors", tensors)
                atomic.write_json(partial / "state.json", state)
        except DiskFull as error:
            need = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) / 1e6
            raise TrainingError(
                f"{path}: the disk has no room for a checkpoint of {need:.1f} MB ({error.__cause__}); free some, or lower trainer.keep; "
                f"the same command resumes from the checkpoint before, which is whole"
            ) from error

    def load_checkpoint(self, path, map_location=None, weights_only=None) -> dict[str, Any]:
        """Return the dict that was saved; `latest` has verified its manifest."""
        return restore(json.loads((Path(path) / "state.json").read_text()), load_file(str(Path(path) / "tensors.safetensors")))

    def remove_checkpoint(self, path) -> None:
        """Delete a checkpoint folder."""
        shutil.rmtree(path, ignore_errors=True)


def latest(folder: str | Path) -> Path | None:
    """Return the newest checkpoint of `folder` that matches its manifest; warn of every corrupt one that is skipped."""
    for path in sorted(Path(folder).glob("step-*"), reverse=True):
        try:
            if not (path / artifact.MANIFEST).is_file():
                raise InputError(f"{path}: has no manifest; its writing was interrupted")
            artifact.verify(path)
        except InputError as error:
            warnings.warn(f"checkpoint skipped: {error}", stacklevel=2)
            continue
        return path
    return None


def machine(path: str | Path) -> dict[str, Any]:
    """Return {"threads", "compile"} of the run that wrote `path`: other settings would change the order of floating-point sums."""
    state = dict(json.loads((Path(path) / "state.json").read_text())["dict"])
    return restore(state["machine"], {})


def keep_last(folder: str | Path, count: int) -> None:
    """Delete all but the newest `count` checkpoints of `folder`, and the partial folders of interrupted writes."""
    paths = sorted(Path(folder).glob("step-*"))
    for path in [*paths[: len(paths) - count], *Path(folder).glob(".step-*")]:
        shutil.rmtree(path, ignore_errors=True)
