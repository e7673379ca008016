"""`fmcycle plan STAGE [override ...]` and `plan=true`: prints the predicted cost of a training run; makes and changes nothing."""

import json
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console
from rich.table import Table

from fmcycle.config import paths
from fmcycle.config.build import build
from fmcycle.config.compose import Composed
from fmcycle.errors import ConfigError, InputError
from fmcycle.processor import store
from fmcycle.runner import begin_from, inputs
from fmcycle.runner.own_model import in_place
from fmcycle.runner.own_table import COLUMNS, is_table
from fmcycle.runner.run import quiet

TABLE = "fmcycle.data.table.Table"
USUAL = 0.25  # of data.max_length, which is set for the longest conversations: the length to which a batch is padded, where no data tells
READ = 64e6  # bytes; a larger table is not read for the lengths of its rows


def show(composed: Composed, form: str) -> None:
    """Print the plan of one training stage, as JSON if `form` is json. Raises InputError if the run would be refused."""
    quiet()
    if not str(composed.config()["_target_"]).startswith("fmcycle.stage.train."):
        raise InputError(f"{composed.stage} does not train: only training stages have a plan, such as `fmcycle plan pretrain`")
    from fmcycle.cost import limits
    from fmcycle.stage import train

    if problems := [*paths.problems(composed), *begin_from.problems(composed)]:
        raise ConfigError(problems)
    chosen = composed.config().get("init_from")
    start = {"init_from": str(begin_from.found(chosen))} if chosen else {}
    found = located(in_place(composed))
    missing = {name: f"<{name}>" for name, path in found.items() if path is None}
    cfg = SimpleNamespace(**composed.config(inputs={name: str(path) for name, path in found.items() if path} | missing, **start))
    cfg.inputs = {name: str(path) for name, path in found.items() if path}
    source = cfg.inputs.get("model") or cfg.inputs.get("processor")
    processor = store.load_processor(source) if source else None
    rows, assumed = rows_of(cfg, found, processor)
    limit, price = train.bounds(cfg)
    recipe, plan = limits.settled(train.recipe_of(cfg, processor, {"train": rows}), limit, price)
    if form == "json":
        print(json.dumps(plan.figures() | {"stage": composed.stage, "assumed": assumed, "minutes": plan.minutes}, indent=1))
    else:
        table(composed.stage, plan, recipe.machine, assumed)
    limits.check(recipe, plan, limit)


def located(composed: Composed) -> dict[str, Path | None]:
    """Return {name: path} of the inputs in artifacts/, up to date or not; None for one that does not exist yet."""
    found: dict[str, Path | None] = {}
    for name, value in composed.inputs.items():
        if value is None:
            continue
        path = Path(value)
        if str(value).startswith((inputs.STAGE, inputs.EXPERIMENT)):
            if composed.choices.get("collection") or str(value).startswith(inputs.EXPERIMENT):
                raise InputError(
                    f"inputs.{name} needs data that is not in artifacts/: name a file with inputs.{name}=PATH, or run the experiment, "
                    "which prints its predicted cost before it begins"
                )
            stage, _, rest = value.removeprefix(inputs.STAGE).partition("/")
            path = inputs.pipeline_folder(stage) / rest
        found[name] = path if path.exists() else None
    return found


def rows_of(cfg, found: dict[str, Path | None], processor) -> tuple:
    """Return (rows, the assumption about them): the real rows if all inputs exist and are small, else rows of data.max_length."""
    from fmcycle.cost.plan import Rows

    small = all(path is None or path.is_dir() or path.stat().st_size < READ for path in found.values())
    curated = all(name not in COLUMNS or path is None or is_table(path, name) for name, path in found.items())
    if processor is not None and small and curated and None not in found.values():
        return build(cfg.data)("train", processor), ""
    length = cfg.data.get("max_length") or 1024
    if cfg.data["_target_"] != TABLE or cfg.data.get("packed"):
        return Rows(length), f"every row has {length} tokens (data.max_length): the data is not read"
    usual = max(1, round(USUAL * length))
    return Rows(length, usual), f"rows have {length} tokens at most (data.max_length), a batch {usual} usually: the data is not read"


def table(stage: str, plan, machine, assumed: str) -> None:
    """Print the plan as a table: one line for each figure, with its 90 % interval if it has one."""
    from fmcycle.cost.plan import clock

    step, shown = plan.cost, Table(title=f"{stage}: predicted cost", show_header=False, title_justify="left")
    low, high = (plan.start + seconds for seconds in plan.seconds[1:])
    size = "{:.2f} GB".format
    around, room = f"{plan.peak[1] / 1e9:.2f} to {plan.peak[2] / 1e9:.2f}", size(plan.capacity / 1e9)
    rows = {
        "parameters": f"{step.parameters / 1e6:,.2f} M, {step.trained / 1e6:,.2f} M trained",
        "weights": size(step.weights / 1e9),
        "gradients": size(step.gradients / 1e9),
        "optimizer": size(step.optimizer / 1e9),
        "activations at most": size(step.activations / 1e9),
        "memory of a device": f"{size(plan.peak[0] / 1e9)} ({around}) of {room}",
        "micro-batch": f"{plan.micro} rows, {plan.accumulate} a step, on {machine.world} device{'s' * (machine.world > 1)}",
        "tokens": f"{plan.tokens / 1e6:,.2f} M in {plan.steps} steps",
        "work": f"{plan.flops / 1e12:,.1f} TFLOP",
        "time": f"{clock(plan.minutes * 60)} ({clock(low)} to {clock(high)}), then the evaluation",
        "money": "not priced (price=cpu, or write conf/price)" if plan.money is None else f"{plan.money:.2f} {plan.price.currency}",
        "disk": f"{size(plan.disk / 1e9)} (checkpoints and the model)",
    }
    for name, value in rows.items():
        shown.add_row(name, value)
    console = Console(soft_wrap=True)
    console.print(shown)
    learned = (
        f"earlier runs on this machine that correct it: {plan.runs}"
        if plan.runs
        else "no earlier run on this machine: the first one corrects it"
    )
    console.print(f"Intervals are 90 %; {learned}.{f' Assumed: {assumed}.' if assumed else ''}", highlight=False)
