"""Predicts the cost of a training run before any work: time, memory, disk and money."""

import functools
import sys
from dataclasses import dataclass, replace

import numpy as np
import torch

from fmcycle.config import columns as column
from fmcycle.cost import ledger, step_cost
from fmcycle.data.stream import Stream
from fmcycle.errors import InputError
from fmcycle.hardware import peak, throughput
from fmcycle.model.prepare import check_takes
from fmcycle.training.recipe import Recipe

PROCESS = 520e6  # bytes of a process with its imports and the first step's libraries; a run measures its own process instead
WARM = 70e6  # bytes that the first step's libraries take
GAPS = 0.72  # share of the small activations: gaps that they leave in glibc's heap after some steps
CACHE = 0.08  # share of a GPU's activations: memory that its caching allocator holds unused
COMPILE = 45.0  # seconds, the first time
START = 12.0  # seconds from the command to the first step
FIRST = 1.3  # seconds that the first step takes longer: it loads libraries and touches memory for the first time
LOOK = 64  # steps whose rows are read
FORWARD = 0.35  # share of a micro-batch's seconds: a validation runs the forward only
LARGE = 1e9  # weights of a model whose plan takes seconds
WRITE = 0.4e9  # bytes of a checkpoint a second, digests included


@dataclass
class Rows:
    """Rows in place of data that does not exist yet, with labels and pairs for every objective on text. length: of the longest micro-batch;
    usual: of the average one, null: the same."""

    length: int
    usual: int | None = None
    lengths = None

    def __len__(self) -> int:
        return 2**20

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, rows: list) -> dict:
        ids = torch.ones(len(rows), self.length, dtype=torch.int64)
        side = {"input_ids": ids, "labels": ids.clone()}
        return side | {"chosen": side, "rejected": side}


class Batch(dict):
    """A batch that raises InputError if the objective reads a column that it lacks. assumed: the batch is of `Rows`, not of real data."""

    def __init__(self, columns: dict, *, assumed: bool):
        super().__init__(columns)
        self.assumed = assumed

    def __missing__(self, name: str):
        repair = "the plan assumes text for missing data: make its inputs first" if self.assumed else "choose data that has it"
        raise InputError(f"objective: reads the column {name}, and the rows of data have {', '.join(self)}; {repair}, or another objective")


@dataclass
class Plan:
    """The prediction of one run on one device. `raw`: seconds of steps and validations, bytes of memory, before the ledger's correction."""

    cost: step_cost.Cost
    micro: int
    accumulate: int
    steps: int
    tokens: float
    flops: float
    raw: dict[str, float]
    seconds: tuple[float, float, float]
    peak: tuple[float, float, float]
    start: float
    disk: float
    money: float | None
    price: step_cost.Price
    machine: dict
    capacity: int
    own: float
    runs: int

    @property
    def minutes(self) -> float:
        """Minutes from the command to the trained model, without the evaluation after it."""
        return (self.start + self.seconds[0]) / 60

    def line(self) -> str:
        """Return the line that a run prints at its start."""
        return f"about {clock(self.start + self.seconds[0])}, {self.peak[0] / 1e9:.1f} GB of {self.capacity / 1e9:.1f}"

    def figures(self) -> dict:
        """Return the plan as plain data: bytes, seconds, numbers."""
        return {
            "parameters": self.cost.parameters,
            "trained": self.cost.trained,
            "weights": self.cost.weights,
            "gradients": self.cost.gradients,
            "optimizer": self.cost.optimizer,
            "activations": self.cost.activations,
            "small": self.cost.small,
            "work": {"micro": self.cost.micro, "update": self.cost.update},
        } | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name not in ("cost", "price", "machine", "raw")
        }


def predict(recipe: Recipe, price: step_cost.Price, *, room: tuple[int, float] | None = None) -> Plan:
    """Return the plan of `recipe`. room: (bytes that a process may use, bytes that it uses before training); None: `room_of`."""
    budget, machine = recipe.budget, recipe.machine
    micro, accumulate = machine.micro(budget.global_batch), machine.accumulate(budget.global_batch)
    worst, usual, row_tokens = batches(recipe, micro)
    step, usual_step = works(recipe, [worst, usual])
    capacity, own = room or room_of(machine)
    name, lines = history(machine, budget)
    raw = {"seconds": seconds_of(usual_step, machine, budget, micro, accumulate), "peak": own + memory(step, machine)}
    seconds, space = (ledger.calibrated(raw[what], lines, what) for what in ("seconds", "peak"))
    start = ledger.least(lines, "start", START)
    hours = (start + seconds[0]) / 3600 * machine.world
    return Plan(
        cost=step,
        micro=micro,
        accumulate=accumulate,
        steps=budget.max_steps,
        tokens=row_tokens * budget.global_batch * budget.max_steps,
        flops=usual_step.flops * accumulate * machine.world * budget.max_steps,
        raw=raw,
        seconds=seconds,
        peak=space,
        start=start,
        disk=(machine.keep + 1) * resumable(step) + step.weights,
        money=None if price.device_hour is None else hours * price.device_hour,
        price=price,
        machine=name,
        capacity=capacity,
        own=own,
        runs=len(lines),
    )


def longest(recipe: Recipe) -> step_cost.Cost:
    """Return the cost of a step of `recipe` on its longest micro-batch."""
    return work(recipe, batches(recipe, recipe.machine.micro(recipe.budget.global_batch))[0])


def needed(recipe: Recipe, own: float, step: step_cost.Cost | None = None) -> tuple[float, float, float]:
    """Return (bytes, low, high) of one device's peak memory. step: of a recipe that differs in its number of devices only."""
    lines = history(recipe.machine, recipe.budget)[1]
    return ledger.calibrated(own + memory(step or longest(recipe), recipe.machine), lines, "peak")


def history(machine, budget) -> tuple[dict, list[dict]]:
    """Return (this machine's name in the ledger, for this training; the ledger's lines of runs on it)."""
    if machine.threads:
        torch.set_num_threads(machine.threads)
    name = throughput.name(device_of(machine), precision=budget.precision, compiled=machine.compile)
    return name, ledger.read(name)


def seconds_of(step: step_cost.Cost, machine, budget, micro: int, accumulate: int) -> float:
    """Return the seconds of all steps, validations and checkpoints at the machine's rates."""
    rate = throughput.rates(device_of(machine), budget.precision)
    each = throughput.seconds(step.micro, rate, compiled=machine.compile)
    once = throughput.seconds(step.update, rate, compiled=False) / (machine.world if machine.strategy == "fsdp" else 1)
    looks = 1 + (budget.max_steps - 1) // budget.validate_every if budget.validate_every else 1
    validation = looks * FORWARD * each * budget.validation_rows / machine.world / micro
    written = (1 + budget.max_steps // machine.checkpoint_every) * resumable(step) / WRITE
    return FIRST + budget.max_steps * (accumulate * each + once) + validation + written + COMPILE * machine.compile


def device_of(machine) -> torch.device:
    """Return the device that `machine` trains on here."""
    return torch.device("cuda" if machine.accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def room_of(machine, *, running: bool = False) -> tuple[int, float]:
    """Return (bytes that a process may use, bytes that it uses before training). running: this process will train, so measure it."""
    device = device_of(machine)
    if device.type == "cuda":
        return throughput.capacity(device), 0.0
    return throughput.capacity(device), peak.memory(device) + WARM if running else PROCESS


def resumable(step: step_cost.Cost) -> float:
    """Return the bytes of a checkpoint: trained weights and optimizer state."""
    return step.weights * step.trained / step.parameters + step.optimizer


def memory(step: step_cost.Cost, machine) -> float:
    """Return the peak bytes of one device, in a step or while a checkpoint is copied. FSDP gathers one block and the next."""
    share = machine.world if machine.strategy == "fsdp" else 1
    gathered = 4 * step.largest_block if share > 1 else 0
    buckets = step.gradients if machine.strategy == "ddp" and machine.world > 1 else 0
    slack = CACHE * step.activations if device_of(machine).type == "cuda" else GAPS * step.small
    return step.state / share + max(step.activations, resumable(step)) + slack + gathered + buckets


def work(recipe: Recipe, batch: dict) -> step_cost.Cost:
    """Return the cost of a step of `recipe` on `batch`."""
    return works(recipe, [batch])[0]


def works(recipe: Recipe, found: list[dict]) -> list[step_cost.Cost]:
    """Return the cost of a step of `recipe` on each batch of `found`; the model is made once, from its config, without weights."""
    budget, whole = recipe.budget, replace(recipe.machine, compile=False, strategy="auto")

    def make():
        model = recipe.model(weights=False)
        _say(sum(p.numel() for p in model.parameters()))
        check_takes(model.get_base_model() if hasattr(model, "get_base_model") else model, found[0])
        whole.prepare(model, None, budget.precision)
        return model

    accumulate = recipe.machine.accumulate(budget.global_batch)
    different = [batch for place, batch in enumerate(found) if not any(batch is earlier for earlier in found[:place])]
    costs = step_cost.step_costs(make, different, recipe.objective, recipe.optimizer, accumulate=accumulate, precision=budget.precision)
    return [costs[next(place for place, each in enumerate(different) if each is batch)] for batch in found]


@functools.cache
def _say(parameters: int) -> None:
    """Tell once that a large model is planned: its steps are imagined for some seconds before anything is said about them."""
    if parameters >= LARGE:
        print(f"planning a model of {parameters / 1e9:,.1f} billion weights; Ctrl-C or SIGTERM ends it", file=sys.stderr, flush=True)


def batches(recipe: Recipe, micro: int) -> tuple[dict, dict, float]:
    """Return (the longest micro-batch, one of average length, tokens a row) of LOOK steps."""
    rows, budget, machine, extra = recipe.data["train"], recipe.budget, recipe.machine, column.declared(recipe.objective)
    stream = Stream(rows, seed=budget.seed, global_batch=budget.global_batch, micro=micro, rank=0, world=machine.world, start=0)
    steps = np.unique(np.linspace(0, budget.max_steps - 1, LOOK).astype(int))
    found = [indices for step in steps[: 1 if rows.lengths is None else None] for indices in stream.micro_batches(int(step))]

    def batch(indices) -> dict:
        made = rows.collate([rows[int(index)] for index in indices])
        assumed = isinstance(rows, Rows)
        return Batch({name: torch.zeros(len(indices)) for name in extra} | made, assumed=assumed)

    if rows.lengths is None:
        worst = usual = batch(found[0])
        if isinstance(rows, Rows) and rows.usual:
            rows = replace(rows, length=rows.usual)
            usual = batch(found[0])
        each = float(usual["input_ids"].shape[1])
    else:
        longest = np.array([rows.lengths[indices].max() for indices in found])
        worst = batch(found[int(longest.argmax())])
        usual = batch(found[int(np.abs(longest - longest.mean()).argmin())])
        each = float(np.mean([rows.lengths[indices].mean() for indices in found]))
    return worst, usual, each


def clock(seconds: float) -> str:
    """Return `seconds` as 45 s, 3 min or 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
