"""compress: the model that will be served, smaller where that is asked for; what is evaluated is what is packaged."""

from dataclasses import dataclass
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.config.machine import machine_of
from fmcycle.evaluation.measure import measure
from fmcycle.model import store as model_store
from fmcycle.ranges import Node

NEEDS = (("model",),)
WRITES = ("model", "metrics.json")


@dataclass
class Config:
    """`compress`: (model folder, new folder) -> None; `evaluation`: what the new model is measured by, where it differs from the old.

    trainer: the device and the precision that it is measured on.
    """

    inputs: dict
    out: str
    compress: Node
    evaluation: dict[str, Node]
    trainer: dict | None = None


def run(cfg: Config) -> dict[str, float]:
    """Write model/; returns its size in megabytes, that of inputs.model, and what the change cost."""
    source, folder = Path(cfg.inputs["model"]), Path(cfg.out) / "model"
    build(cfg.compress)(source, folder)
    metrics = {"megabytes": megabytes(folder), "reference/megabytes": megabytes(source)}
    if artifact.digest(folder) != artifact.digest(source):
        machine = machine_of(cfg)
        model, processor = model_store.load_model(folder, machine.device, machine.dtype)
        metrics |= measure(cfg.evaluation, model, processor, beside=metrics)
    return metrics


def megabytes(folder: Path) -> float:
    """Size of the weights in `folder`."""
    return round(sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6, 3)
