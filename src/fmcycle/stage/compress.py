"""compress: the model that will be served, smaller where that is asked for; what is evaluated is what is packaged."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from fmcycle import artifact, durable, model_store
from fmcycle.build import build
from fmcycle.number import Node
from fmcycle.stage.machine import machine_of

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
        for evaluation in build(cfg.evaluation).values():
            metrics |= evaluation(model, processor)
    return metrics


def megabytes(folder: Path) -> float:
    """Size of the weights in `folder`."""
    return round(sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6, 3)


def none(source: Path, folder: Path) -> None:
    """The same model: every file as it is."""
    with artifact.create(folder) as partial:
        shutil.copytree(
            source, partial, dirs_exist_ok=True, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(artifact.MANIFEST)
        )


def int8(source: Path, folder: Path) -> None:
    """The model with its matrices in 8 bits; see fmcycle.int8. Half the size on disk; its layers multiply integers on the CPU."""
    from fmcycle import int8

    model, processor = model_store.load_model(source)
    with artifact.create(folder) as partial:
        int8.round_weights(model).save_pretrained(partial)
        processor.save_pretrained(partial)
        durable.write_json(partial / int8.FILE, int8.SCHEME)
