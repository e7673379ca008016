"""The one LightningModule."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import torch

from fmcycle import checkpoint, durable
from fmcycle.error import Interrupted
from fmcycle.progress import Watch


class Module(pl.LightningModule):
    """A model, the objective it is trained on, and the optimizer that trains it.

    make_model: () -> model; objective: (model, batch) -> {"loss": sum, "count": n, ...}; optimizer: (model) -> Optimizer.
    The gradient of a step is that of sum(loss) / sum(count) over its accumulation window and all ranks, then clipped.
    `folder`: where loss.jsonl and the checkpoints of this run are.
    """

    def __init__(self, *, make_model: Callable, objective: Callable, optimizer: Callable, budget, machine, folder: str | Path):
        super().__init__()
        self.make_model, self.objective, self.make_optimizer = make_model, objective, optimizer
        self.budget, self.machine, self.folder = budget, machine, Path(folder)
        self.model: torch.nn.Module | None = None
        self.window = {"count": 0.0, "loss": 0.0}
        self.curve: dict[str, list] = {"step": [], "loss": [], "lr": [], "count": [], "validation_step": [], "validation_loss": []}
        self.stop_asked = False
        self.strict_loading = False  # a checkpoint holds what is trained; on_load_checkpoint checks that it holds all of that

    def configure_model(self) -> None:
        if self.model is None:  # here, so that sharding and meta initialisation work
            self.model = self.make_model().train()
            self.machine.prepare(self.model, self._mesh)

    def configure_optimizers(self):
        optimizer = self.make_optimizer(self.model)
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
        return optimizer

    def on_train_start(self) -> None:
        self.watch = Watch(self.budget.max_steps, self.trainer.global_step, show=self.trainer.is_global_zero)
        self.previous = {number: signal.signal(number, self._ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
        if self.trainer.is_global_zero:
            durable.write_text(self.folder / "loss.jsonl", "".join(self._line(index) for index in range(len(self.curve["step"]))))

    def on_train_batch_start(self, batch, batch_idx) -> None:
        step, accumulate = self.trainer.global_step, self.trainer.accumulate_grad_batches
        # dropout and masks are drawn anew from (seed, step, micro-batch, rank): a resumed run needs no generator's state
        place = (step * accumulate + batch_idx % accumulate) * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed((self.budget.seed << 40) + place)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["peak_lr"] * self.budget.rate(step)

    def training_step(self, batch, batch_idx):
        out = self.objective(self.model, batch)
        self.window["count"] += float(out["count"])
        self.window["loss"] += float(out["loss"].detach())
        return out["loss"]

    def on_before_optimizer_step(self, optimizer) -> None:
        total = torch.tensor([self.window["count"], self.window["loss"], float(self.stop_asked)], dtype=torch.float64, device=self.device)
        total = self.trainer.strategy.reduce(total, reduce_op="sum")
        count, loss, stop = total.tolist()
        if count == 0:
            raise ValueError("a step has nothing to train on: every label of its rows is -100; look at the data's format")
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        # Lightning divided by the micro-batches of the window, the strategy by the ranks: both are undone here
        factor = self.trainer.accumulate_grad_batches * self.trainer.world_size / count
        norm = torch.nn.utils.get_total_norm(gradients)
        norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm) * factor
        if not math.isfinite(norm) or not math.isfinite(loss):
            raise ValueError(
                f"step {self.trainer.global_step + 1}: loss {loss / count}, gradient norm {norm}; lower optimizer.lr and run again"
            )
        if self.budget.clip and norm > self.budget.clip:
            factor *= self.budget.clip / norm
        torch._foreach_mul_(gradients, factor)
        self.last = {"loss": loss / count, "lr": optimizer.param_groups[0]["lr"], "count": int(count)}
        self.window = {"count": 0.0, "loss": 0.0}
        self.stop_asked = stop > 0  # every rank stops at the same step

    def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
        step = self.trainer.global_step
        if step == (self.curve["step"][-1] if self.curve["step"] else 0):
            return  # within an accumulation window
        for name, value in (("step", step), *self.last.items()):
            self.curve[name].append(value)
        last = step == self.budget.max_steps
        if last or (self.budget.validate_every and step % self.budget.validate_every == 0):
            self.curve["validation_step"].append(step)
            self.curve["validation_loss"].append(self.validate())
        if self.trainer.is_global_zero:
            with open(self.folder / "loss.jsonl", "a") as log:
                log.write(self._line(len(self.curve["step"]) - 1))
        self.watch.update(step, self.last["loss"], self.last["count"])
        if self.stop_asked or (not last and step % self.machine.checkpoint_every == 0):
            self.trainer.save_checkpoint(self.folder / f"step-{step:08d}")
            if self.trainer.is_global_zero:
                checkpoint.keep_last(self.folder, self.machine.keep)
        if self.stop_asked:
            raise Interrupted(f"stopped at step {step} of {self.budget.max_steps} with a checkpoint; the same command goes on from there")

    @torch.no_grad()
    def validate(self) -> float:
        """Mean loss of the validation rows over their count, all ranks together."""
        assert self.model is not None
        self.model.eval()
        total = torch.zeros(2, dtype=torch.float64, device=self.device)
        for batch in self.trainer.datamodule.validation_batches():  # type: ignore[attr-defined]
            out = self.objective(self.model, self.trainer.strategy.batch_to_device(batch))
            total += torch.tensor([float(out["loss"]), float(out["count"])], dtype=torch.float64, device=self.device)
        self.model.train()
        loss, count = self.trainer.strategy.reduce(total, reduce_op="sum").tolist()
        return loss / max(count, 1)

    def teardown(self, stage: str) -> None:
        if hasattr(self, "watch"):
            self.watch.stop()
            for number, handler in self.previous.items():
                signal.signal(number, handler)

    def on_save_checkpoint(self, state: dict) -> None:
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state["state_dict"] = {name: tensor for name, tensor in state["state_dict"].items() if name in trained}
        state["curve"] = self.curve
        state["threads"] = torch.get_num_threads()

    def on_load_checkpoint(self, state: dict) -> None:
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        assert trained == set(state["state_dict"]), trained ^ set(state["state_dict"])
        self.curve = state["curve"]
        torch.set_num_threads(state["threads"])  # sums are added in the order of the run that began

    def _mesh(self):
        assert self.device_mesh is not None
        return self.device_mesh["data_parallel"]

    def _ask_to_stop(self, signum, frame) -> None:
        """The step in work is finished and kept; a second Ctrl-C does not wait for that."""
        if self.stop_asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop_asked = True

    def _line(self, index: int) -> str:
        return json.dumps({name: self.curve[name][index] for name in ("step", "loss", "lr", "count")}) + "\n"
