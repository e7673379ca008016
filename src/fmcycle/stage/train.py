"""Train: pretrain, finetune and align are this one stage with three yamls."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.config import code_digest
from fmcycle.config.build import build
from fmcycle.config.machine import machine_of
from fmcycle.distributed import rank
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import store
from fmcycle.ranges import Node
from fmcycle.training import signals
from fmcycle.training.recipe import of_one_tokenizer, recipe

NEEDS = (("model", "processor"),)
WRITES = ("model", "adapter", "curve.json", "metrics.json")


@dataclass
class Config:
    """inputs: `model` (or `processor`, to begin from nothing) and what `data` reads. evaluation: {name: node}, run at the end."""

    inputs: dict
    out: str
    runs: str
    processor: Node
    model: Node
    objective: Node
    strategy: Node
    data: Node
    optimizer: Node
    budget: Node
    trainer: Node
    logger: dict[str, Node] = field(default_factory=dict)
    evaluation: dict[str, Node] = field(default_factory=dict)
    price: Node = field(default_factory=dict)
    limit: Node = field(default_factory=dict)
    licence: Node = field(default_factory=dict)
    minutes: float = 5


@signals.at_once()
def run(cfg: Config) -> dict | None:
    """Train `cfg.model` on `cfg.data` toward `cfg.objective`; write model/, adapter/ where there is one, and curve.json."""
    from fmcycle.config import columns as column
    from fmcycle.cost.account import Account
    from fmcycle.data.datamodule import Data
    from fmcycle.data.protocol import Classed, Selected
    from fmcycle.licence.audit import permit
    from fmcycle.tracking import loggers as logger
    from fmcycle.training import checkpoint
    from fmcycle.training.module import Module, fit

    permit(cfg)
    if not cfg.budget["max_steps"]:
        return begin(cfg) if rank.first() else None
    budget, machine, data, objective = build(cfg.budget), build(cfg.trainer), build(cfg.data), build(cfg.objective)
    columns = column.declared(objective)
    loggers = logger.made(cfg.logger, cfg.runs)
    machine.micro(budget.global_batch)
    processor = store.load_processor(of_one_tokenizer(cfg.inputs))
    train, validation = data("train", processor), data("validation", processor)
    with rank.ahead("plan"):
        account = Account(cfg, budget, machine, train)
    machine = account.machine
    with rank.ahead("annotate"):
        annotate(cfg, budget, machine, train, validation, columns)
    module = Module(
        make_model=lambda: recipe(cfg, budget, processor, train.classes if isinstance(train, Classed) else []),
        objective=objective,
        optimizer=account.begun(build(cfg.optimizer)),
        budget=budget,
        machine=machine,
        folder=cfg.runs,
        processor=processor,
    )
    trainer = machine.lightning(budget, Path(cfg.runs), logger=loggers)
    with machine.products(budget.precision):
        fit(trainer, module, Data(train, validation, budget, machine))
    account.ended(module, trainer)
    model = machine.whole(module)
    if not trainer.is_global_zero:
        return None
    metrics = finish(cfg, model, processor, module.curve)
    checkpoint.keep_last(cfg.runs, 0)
    read = (("train", train), ("validation", validation))
    return metrics | {f"{split}_rows_too_long": rows.longer for split, rows in read if isinstance(rows, Selected)}


def begin(cfg: Config) -> dict:
    """A run of no steps: the model as it begins is the artifact, measured like any other."""
    processor = store.load_processor(of_one_tokenizer(cfg.inputs))
    return finish(cfg, recipe(cfg, build(cfg.budget), processor, []), processor, {"step": [], "loss": [], "count": [], "skipped": []})


def annotate(cfg: Config, budget, machine, train, validation, columns: dict) -> None:
    """Give the rows that this run reads each of `columns`, computed once by the model of inputs.model as a training step would compute it.

    columns: {name: (model, batch) -> (B,)}; one that the rows bring with them is not computed. Raises InputError if there is no such model.
    """
    import torch

    from fmcycle.data.order import held_out
    from fmcycle.data.precompute import annotate, needed

    own = train[0] if columns else {}
    missing = {name: function for name, function in columns.items() if not (isinstance(own, dict) and name in own)}
    if missing and not cfg.inputs.get("model"):
        raise InputError(f"objective: needs {', '.join(missing)}, which the model of inputs.model computes: give inputs.model=FOLDER")

    def load():
        kind = torch.bfloat16 if budget.precision == "bf16-true" else torch.float32
        return model_store.load_model(cfg.inputs["model"], machine.device, kind)[0]

    def as_trained(function, model, batch):
        with machine.computing(budget.precision):
            return function(model, batch)

    inputs = {name: artifact.digest(path) for name, path in cfg.inputs.items() if path}
    data = {name: value for name, value in cfg.data.items() if name != "path"}
    code = {"objective": cfg.objective["_target_"], "code": code_digest.digest(cfg.objective)}
    key = {"inputs": inputs, "data": data, "computed": {"device": machine.device.type, "precision": budget.precision}} | code
    for column, function in missing.items():
        wanted = [
            (train, "train", needed(train, budget)),
            (validation, "validation", held_out(validation, budget.validation_rows)),
        ]
        for rows, split, indices in wanted:
            annotate(
                rows,
                column,
                partial(as_trained, function),
                load,
                indices=indices,
                key=key | {"split": split},
                folder=Path(".cache/annotate"),
            )


def finish(cfg: Config, model, processor, curve: dict) -> dict:
    """Write the artifacts and the curve; returns the metrics, those of cfg.evaluation with them."""
    from fmcycle.evaluation.measure import measure
    from fmcycle.kernels import linear_cross_entropy

    out, machine = Path(cfg.out), machine_of(cfg)
    model = linear_cross_entropy.plain(model).eval()  # Lightning left it on the CPU
    if hasattr(model, "get_base_model"):
        from fmcycle.model.adapter import Prompted, merge, merges, save

        save(model, out / "adapter")
        model = merge(model) if merges(model) else model
        model_store.save_model(model, processor, out / "model")
        model = Prompted(model) if hasattr(model, "get_base_model") else model
    else:
        model_store.save_model(model, processor, out / "model")
    atomic.write_json(out / "curve.json", curve)
    metrics = {
        "train_loss": next((loss for loss in reversed(curve["loss"]) if loss is not None), None),
        "steps": curve["step"][-1] if curve["step"] else 0,
        "skipped": len(curve["skipped"]),
        "targets": sum(curve["count"]),
    } | {name: values[-1] for name, values in curve.items() if name.startswith("validation_") and name != "validation_step"}
    if not curve["step"]:
        del metrics["train_loss"]
    model = model_store.place(model, machine.device, machine.dtype)
    return metrics | measure(getattr(cfg, "evaluation", {}), model, processor, beside=metrics)
