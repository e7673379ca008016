"""pretrain, finetune and align: one training stage with three yamls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fmcycle.artifact import atomic, external
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
from fmcycle.training.recipe import Recipe, of_one_tokenizer
from fmcycle.training.start import start_of

NEEDS = (("model", "processor"),)
WRITES = ("model", "adapter", "curve.json", "metrics.json")


@dataclass
class Config:
    """inputs: `model` (or `processor`, to train from scratch) and the files that `data` reads. evaluation: {name: node}, run at the end.

    init_from: the checkpoint of another run to begin from.
    """

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
    init_from: str | None = None


@signals.at_once()
def run(cfg: Config) -> dict | None:
    """Train `cfg.model` on `cfg.data` toward `cfg.objective`; write model/, adapter/ if the strategy has one, and curve.json."""
    from fmcycle.config import columns as column
    from fmcycle.cost.account import Account
    from fmcycle.data.datamodule import Data
    from fmcycle.data.protocol import Selected
    from fmcycle.licence.audit import permit
    from fmcycle.tracking import loggers as logger
    from fmcycle.training import checkpoint
    from fmcycle.training.module import Module, fit

    permit(build(getattr(cfg, "licence", None)), getattr(cfg, "model", {}), cfg.data, cfg.inputs)
    if not cfg.budget["max_steps"]:
        return begin(cfg) if rank.first() else None
    columns = column.declared(build(cfg.objective))
    build(cfg.trainer).micro(build(cfg.budget).global_batch)
    loggers = logger.made(cfg.logger, cfg.runs)
    processor, data = store.load_processor(of_one_tokenizer(cfg.inputs)), build(cfg.data)
    recipe = recipe_of(cfg, processor, {split: data(split, processor) for split in ("train", "validation")})
    if rank.first():
        needed(cfg, processor, recipe.make_model)
    if recipe.start and rank.first():
        print(recipe.start.told(), flush=True)
    with rank.ahead("plan"):
        account = Account(recipe, *bounds(cfg), cfg.runs)
    recipe = account.recipe
    with rank.ahead("annotate"):
        annotate(cfg, recipe, columns)
    module = Module(recipe, folder=cfg.runs, processor=processor)
    budget, machine = recipe.budget, recipe.machine
    trainer = machine.lightning(budget, Path(cfg.runs), logger=loggers)
    with machine.products(budget.precision):
        fit(trainer, module, Data(**recipe.data, budget=budget, machine=machine))
    account.ended(module, trainer)
    model = machine.whole(module)
    if not trainer.is_global_zero:
        return None
    metrics = finish(cfg, model, processor, module.history.curve)
    checkpoint.keep_last(cfg.runs, 0)
    selected = {split: rows.left_out for split, rows in recipe.data.items() if isinstance(rows, Selected)}
    return metrics | {f"{split}_rows_{reason}": count for split, left in selected.items() for reason, count in left.items()}


def begin(cfg: Config) -> dict:
    """Write and measure the initial model; this is the whole run if budget.max_steps is 0."""
    processor = store.load_processor(of_one_tokenizer(cfg.inputs))
    curve: dict[str, list] = {"step": [], "loss": [], "count": [], "skipped": []}
    recipe = recipe_of(cfg, processor, {})
    needed(cfg, processor, recipe.make_model)
    return finish(cfg, recipe.model(), processor, curve)


def check(cfg: Config) -> None:
    """Look at what the evaluations need of inputs.model and of the tables that are there, while other inputs are still to be made."""
    folder = Path(cfg.inputs.get("model") or "")
    if getattr(cfg, "evaluation", None) and (folder / "config.json").is_file():
        processor = store.load_processor(folder)
        needed(cfg, processor, partial(make_model, cfg, processor, []))


def needed(cfg: Config, processor, make: Callable) -> None:
    """Raise ConfigError if the evaluations at the end of the run lack something of model, processor or rows. make: (weights) -> model."""
    import torch

    from fmcycle.evaluation import need

    def shape():
        with torch.device("meta"):
            return make(False)

    need.check(getattr(cfg, "evaluation", {}), shape, processor)


def recipe_of(cfg, processor, data: dict) -> Recipe:
    """Return the recipe that `cfg` describes. processor: None while planning before it exists; data: {split: rows}."""
    from fmcycle.data.protocol import Classed
    from fmcycle.model.adapter import with_tokens

    train = data.get("train")
    return Recipe(
        make_model=partial(make_model, cfg, processor, train.classes if isinstance(train, Classed) else []),
        objective=build(cfg.objective),
        strategy=build(with_tokens(cfg.strategy, processor)),
        optimizer=build(cfg.optimizer),
        data=data,
        budget=build(cfg.budget),
        machine=machine_of(cfg),
        start=start_of(cfg),
    )


def make_model(cfg, processor, classes: list[str], weights: bool):
    """Return the model before its strategy: a new one, one with cfg.model's own weights, inputs.model itself or its body under a new head,
    or one assembled from inputs.vision and inputs.language. With `weights` false it has the architecture only; no weights are read."""
    from fmcycle.model.prepare import check_asked, end_generation, fit_to, like, quiet
    from fmcycle.model.transfer import PARTS, on_body, same, with_parts

    base = cfg.inputs.get("model")
    if base and same(base, cfg.model):
        if not weights:
            return like(base)
        check_asked(base, cfg.model)
        return end_generation(model_store.load_model(base)[0], processor, beside=True)
    model = build(cfg.model)
    model = model if processor is None else fit_to(model, processor, classes, trained=external.has_weights(cfg.model))
    if not weights:
        return model
    if base:
        return on_body(quiet(model), base)
    model = model if external.has_weights(cfg.model) else quiet(model)
    return with_parts(model, {name: cfg.inputs[name] for name in PARTS if cfg.inputs.get(name)})


def bounds(cfg) -> tuple[Any, Any]:
    """Return (the run's cost limit, the price of a device); a trial of select has neither in its config and gets the defaults."""
    from fmcycle.cost import step_cost

    return build(getattr(cfg, "limit", None)) or step_cost.Limit(), build(getattr(cfg, "price", None)) or step_cost.Price()


def annotate(cfg: Config, recipe: Recipe, columns: dict) -> None:
    """Add `columns` to the rows that this run reads; inputs.model computes them once, in the precision of a training step.

    columns: {name: (model, batch) -> (B,)}; a column that the rows already have is not computed. Raises InputError without inputs.model.
    """
    import torch

    from fmcycle.data.order import held_out
    from fmcycle.data.precompute import annotate, needed

    budget, machine, train, validation = recipe.budget, recipe.machine, recipe.data["train"], recipe.data["validation"]
    own = train[0] if columns else {}
    missing = {name: function for name, function in columns.items() if not (isinstance(own, dict) and name in own)}
    if missing and not cfg.inputs.get("model"):
        raise InputError(f"objective: needs {', '.join(missing)}, which inputs.model computes: name a model with inputs.model=FOLDER")

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
    """Write model/, adapter/ and curve.json; return the metrics of training and of cfg.evaluation."""
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
