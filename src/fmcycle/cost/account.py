"""Records a run's predicted cost before training and its actual cost afterwards."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from fmcycle.artifact import atomic
from fmcycle.cost import ledger, limits, plan
from fmcycle.cost.step_cost import Limit, Price
from fmcycle.distributed import rank
from fmcycle.errors import InputError
from fmcycle.hardware import throughput
from fmcycle.training.recipe import Recipe

FILE = "plan.json"


class Account:
    """Records the plan and the actual cost of one run. recipe: the one to run, its micro-batch chosen; its first step starts the clock."""

    def __init__(self, recipe: Recipe, limit: Limit, price: Price, folder: str | Path):
        """Print the predicted cost of `recipe` in `folder`. Raises InputError, with settings that would fit, if the run does not fit."""
        self.folder, self.file = Path(folder), Path(folder) / FILE
        self.plan: plan.Plan | None = None
        machine = recipe.machine
        if machine.micro_batch == "fit":
            known = json.loads(self.file.read_text()) if self.file.is_file() else {}
            if known.get("world") == machine.world:  # a resumed run keeps its micro-batch, and every rank has the first one's
                recipe = limits.on(recipe, micro_batch=known["micro"])
        if rank.first():
            recipe = self._planned(recipe, limit, price)
        self.recipe = replace(recipe, optimizer=partial(self._begun, recipe.optimizer))

    def _planned(self, recipe: Recipe, limit: Limit, price: Price) -> Recipe:
        try:
            recipe, self.plan = limits.settled(recipe, limit, price, plan.room_of(recipe.machine, running=True))
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            if recipe.machine.micro_batch == "fit" or any(vars(limit).values()):
                raise InputError(
                    f"this model's shapes depend on its data ({error}), so it has no plan: set trainer.micro_batch to a number and no limit"
                ) from error
            print(f"no plan: this model's shapes depend on its data ({error})", flush=True)
            return recipe
        limits.check(recipe, self.plan, limit)
        print(self.plan.line(), flush=True)
        atomic.write_json(self.file, self.plan.figures() | {"world": recipe.machine.world})
        return recipe

    def _begun(self, make_optimizer: Callable, model):
        """Return the optimizer and start the clock: the loop makes the optimizer once, right before its first step."""
        self.start = self._seconds()
        throughput.forget(next(model.parameters()).device)
        return make_optimizer(model)

    def ended(self, module, trainer) -> None:
        """Write the actual cost beside the prediction, into plan.json and the ledger."""
        if self.plan is None:
            return
        device, done = module.device, trainer.global_step - module.history.watch.start
        states = [x for state in trainer.optimizers[0].state.values() for x in state.values() if isinstance(x, torch.Tensor)]
        trained = [p for p in module.parameters() if p.requires_grad and p in trainer.optimizers[0].state]
        held = list(module.model.parameters()) + list(module.model.buffers())
        parts = {"weights": held, "gradients": trained, "optimizer": states}
        actual = {
            "seconds": self._seconds() - self.start,
            "start": self.start,
            "peak": throughput.highest(device),
            "steps": done,
            "targets": sum(module.history.curve["count"]),
        } | {name: sum(x.numel() * x.element_size() for x in set(part)) for name, part in parts.items()}
        atomic.write_json(self.file, self.plan.figures() | {"world": self.recipe.machine.world, "actual": actual})
        if done:
            raw = self.plan.raw | {"seconds": self.plan.raw["seconds"] * done / self.plan.steps}
            where = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "run": str(self.folder), "machine": self.plan.machine}
            ledger.append(where | {"raw": raw, "predicted": self.plan.figures(), "actual": actual})

    def _seconds(self) -> float:
        """Return seconds since this process began; on a CPU, CPU seconds of one thread, which other processes don't lengthen."""
        on_gpu = plan.device_of(self.recipe.machine).type == "cuda"
        return throughput.age() if on_gpu else time.process_time() / torch.get_num_threads()
