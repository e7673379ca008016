"""convert: write the weights that a config names, unchanged, as a model folder that every stage and transformers read."""

from dataclasses import dataclass
from pathlib import Path

from fmcycle.artifact import external
from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.model import prepare
from fmcycle.model import store as model_store
from fmcycle.ranges import Node

WRITES = ("model", "metrics.json")
CARD = "README.md"


@dataclass
class Config:
    """`model`: a node with weights; `processor`: the one that belongs to them."""

    inputs: dict
    out: str
    model: Node
    processor: Node


def run(cfg: Config) -> dict[str, float]:
    """Write model/: the weights in fp32, their processor, template, generation config and model card; return the number of weights.

    Raises InputError if the model has no weights of its own, or if they and the processor do not belong together.
    """
    if not external.has_weights(cfg.model):
        raise InputError("model: its weights are not made yet: name a folder or file that has them, model=PATH")
    processor = build(cfg.processor)([])
    model = prepare.fit_to(build(cfg.model).eval(), processor, trained=True)
    out, path = Path(cfg.out) / "model", cfg.model.get("path")
    model_store.save_model(model, processor, out, card=Path(str(path)) / CARD)
    said = external.licence_of(cfg.model)
    print(f"{path} -> {out}: {type(model).__name__}, licence {said}", flush=True)
    return {"parameters": sum(weight.numel() for weight in model.parameters())}
