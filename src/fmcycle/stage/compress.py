"""compress: write the model that will be evaluated and packaged, quantized or otherwise reduced if the config says so."""

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
    """`compress`: (model folder, new folder) -> None. `evaluation`: run on the new model if its files differ from the original's.

    trainer: device and precision of these evaluations.
    """

    inputs: dict
    out: str
    compress: Node
    evaluation: dict[str, Node]
    trainer: dict | None = None


def run(cfg: Config) -> dict[str, float]:
    """Write model/; return its size and that of inputs.model in megabytes, and the evaluations' metrics if the model changed."""
    source, folder = Path(cfg.inputs["model"]), Path(cfg.out) / "model"
    build(cfg.compress)(source, folder)
    metrics = {"megabytes": megabytes(folder), "reference/megabytes": megabytes(source)}
    if artifact.digest(folder) != artifact.digest(source):
        machine = machine_of(cfg)
        model, processor = model_store.load_model(folder, machine.device, machine.dtype)
        metrics |= measure(cfg.evaluation, model, processor, beside=metrics)
    return metrics


def megabytes(folder: Path) -> float:
    """Return the size of the weights in `folder`, in units of 10^6 bytes."""
    return round(sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6, 3)
