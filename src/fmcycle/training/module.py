"""The LightningModule of every model family, and `fit`, which trains it."""

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from fmcycle.errors import InputError, Interrupted, TrainingError
from fmcycle.training import checkpoint, sample, signals
from fmcycle.training.history import History
from fmcycle.training.metrics import Means, Tally
from fmcycle.training.recipe import Recipe

SKIPS = 10  # consecutive skipped steps that end a run


def fit(trainer: pl.Trainer, module: "Module", data: pl.LightningDataModule) -> None:
    """Train `module` on `data` to the end of its budget, resuming from the newest whole checkpoint of its folder if there is one.

    Raises Interrupted after a signal, TrainingError if training can't continue; the checkpoints are whole in both cases.
    """
    newest = checkpoint.latest(module.folder)
    if newest is not None:
        module.machine = module.machine.as_began(checkpoint.machine(newest))
    with signals.at_once():
        try:
            trainer.fit(module, data, ckpt_path=newest)
        except (RuntimeError, EOFError, ConnectionError) as error:
            torn = module.machine.workers and isinstance(error, EOFError | ConnectionError)  # while it hands over a batch
            if not torn and "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                f"a process that loads data died at step {trainer.global_step + 1}: {str(error) or 'its pipe broke'}. The kernel kills it "
                f"if memory runs out: free some, or lower trainer.workers (0: no such processes); {signals.AGAIN}"
            ) from error
        finally:
            module.teardown("fit")  # Lightning skips it after an error
        if not module.history.validated(module.budget.max_steps):  # the run was killed in its last validation
            module.to(trainer.strategy.root_device)
            module.history.begin(module, module.budget.max_steps)
            module.validate()
            module.teardown("fit")


def norm_of(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Return the 2-norm over all `tensors`, shards gathered: ()."""
    norm: Any = torch.nn.utils.get_total_norm(tensors)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


class Module(pl.LightningModule):
    """A model, the objective it is trained on, and the optimizer that trains it.

    The gradient of a step is that of sum(loss) / sum(count) over its accumulation window and all ranks, then clipped.
    `folder`: holds loss.jsonl and the checkpoints of this run; `processor`: decodes samples.
    """

    def __init__(self, recipe: Recipe, *, folder: str | Path, processor=None):
        super().__init__()
        self.recipe, self.folder, self.processor = recipe, Path(folder), processor
        self.objective, self.budget, self.machine = recipe.objective, recipe.budget, recipe.machine
        self.model: torch.nn.Module | None = None
        self.tally, self.wish = Tally(), signals.Wish()
        self.history = History(folder)
        self.last: dict[str, float | None] = {}  # figures of a finished step that the history lacks yet
        self.saved = 0  # the step of the newest checkpoint
        self.strict_loading = False  # a checkpoint holds trained weights only; on_load_checkpoint checks that it has all

    def configure_model(self) -> None:
        if self.model is None:  # here, so that sharding and meta initialisation work
            with self.machine.building(self.trainer.is_global_zero):
                self.model = self.recipe.model().train()
            self.machine.prepare(self.model, self._mesh, self.budget.precision)

    def configure_optimizers(self):
        optimizer = self.recipe.optimizer(self.model)
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
        if self.recipe.start:
            self.recipe.start.into_optimizer(optimizer)
        return optimizer

    def on_train_start(self) -> None:
        step = self.trainer.global_step
        self.history.begin(self, step)
        self.wish.listen()
        if step and self._due(step) and not self.history.validated(step):  # the checkpoint of a step is written before its validation
            self.validate()

    def on_train_batch_start(self, batch, batch_idx) -> None:
        step, accumulate = self.trainer.global_step, self.trainer.accumulate_grad_batches
        # dropout and masks depend on (seed, step, micro-batch, rank) alone: a resumed run needs no generator state
        place = (step * accumulate + batch_idx % accumulate) * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed((self.budget.seed << 40) + place)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["peak_lr"] * self.budget.rate(step)

    def training_step(self, batch, batch_idx):
        self.history.watch.saw(batch)
        out = self.objective(self.model, batch)
        self.tally.add(out, batch.get("rows"), self.device)
        return out["loss"]

    def on_before_optimizer_step(self, optimizer) -> None:
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        total = self.tally.read(lambda tensor: self.trainer.strategy.reduce(tensor, reduce_op="sum"), norm_of(gradients), self.wish.asked)
        self.wish.asked = total.pop("stop") > 0  # every rank stops at the same step
        rows, norm, count = int(total.pop("rows")), total.pop("norm"), total.pop("count")
        if count == 0:
            raise InputError("a step has no target: every label of its rows is -100; correct data.format")
        # Lightning divided by the micro-batches of the window, the strategy by the ranks: undo both
        factor = self.trainer.accumulate_grad_batches * self.trainer.world_size / count
        means = {name: value / count for name, value in total.items()}
        self.last = {"lr": optimizer.param_groups[0]["lr"], "count": int(count), "rows": rows}
        self.norm = None
        if math.isfinite(norm) and math.isfinite(means["loss"]):
            self.last |= means
            norm = self.norm = norm * factor
            torch._foreach_mul_(gradients, factor * min(1.0, self.budget.clip / norm) if self.budget.clip and norm else factor)
        else:
            self._leave_out(optimizer, norm, means["loss"])
            self.last |= dict.fromkeys(means)

    def _leave_out(self, optimizer, norm: float, loss: float) -> None:
        """Skip a step whose loss or gradient is not finite: without gradients the optimizer changes no weight and no state."""
        step = self.trainer.global_step + 1
        in_a_row = self.history.skipped(step) >= SKIPS
        if self.budget.nonfinite == "stop" or in_a_row:
            raise TrainingError(
                f"step {step}: loss {loss}, gradient norm {norm}{f', and so {SKIPS} steps in a row' if in_a_row else ''}; lower "
                f"optimizer.lr and run again, or skip such steps with budget.nonfinite=skip"
            )
        optimizer.zero_grad(set_to_none=True)

    def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
        step = self.trainer.global_step
        if self.last:
            self.history.add(step, self.last, self.norm)
            self.last = {}
            if self.wish.asked or step == self.budget.max_steps or step % self.machine.checkpoint_every == 0:
                self.save(step)
            if self._due(step) and not self.wish.asked:
                self.validate()
            if self.machine.sample_every and step % self.machine.sample_every == 0 and not self.wish.asked:
                self.sample(step)
        if self.wish.asked and (self.trainer.world_size == 1 or step == self.saved):  # a single rank stops inside a window
            self._stop(step)

    def save(self, step: int) -> None:
        """Write the checkpoint of `step`. Raises TrainingError, and writes nothing, if a weight is not finite."""
        if not math.isfinite(norm_of([p.detach() for p in self.parameters() if p.requires_grad])):
            raise TrainingError(f"step {step}: its weights are not finite; lower optimizer.lr and run again")
        with self.history.watch.aside():
            self.trainer.save_checkpoint(self.folder / f"step-{step:08d}")
            self.history.watch.keep()
        self.saved = step
        if self.trainer.is_global_zero:
            checkpoint.keep_last(self.folder, self.machine.keep)

    def _stop(self, step: int) -> None:
        """Save the last finished step and raise Interrupted. An unfinished window is dropped; the resumed run reads its rows again."""
        if step == 0:
            raise Interrupted("stopped before its first step was done; the same command starts again")
        if step > self.saved:
            self.save(step)
        raise Interrupted(f"stopped at step {step} of {self.budget.max_steps} with a checkpoint; the same command resumes there")

    def _due(self, step: int) -> bool:
        every = self.budget.validate_every
        return step == self.budget.max_steps or bool(every and step % every == 0)

    @torch.no_grad()
    def validate(self) -> None:
        """Record the objective's means over the validation rows of all ranks in the curve."""
        assert self.model is not None
        step = self.history.curve["step"][-1]
        means = Means(["count", "loss", *self.history.own]).to(self.device)
        self.model.eval()
        with self.history.watch.aside(), self.trainer.precision_plugin.val_step_context():
            for batch in self.trainer.datamodule.validation_batches():  # type: ignore[attr-defined]
                spare = batch.pop("spare", False)
                out = self.objective(self.model, self.trainer.strategy.batch_to_device(batch))
                if not spare:
                    means.update(out)
                if self.wish.asked and self.trainer.world_size == 1:
                    self._stop(step)
        self.model.train()
        self.history.add_validation(step, means.compute())

    def sample(self, step: int) -> None:
        """Write sample continuations to the run's record if the model is a language model."""
        if self.processor is not None and sample.writes(self.model, self.processor):
            with self.history.watch.aside(), self.trainer.precision_plugin.val_step_context():
                self.history.watch.sampled(sample.take(self.model, self.trainer.datamodule.validation, self.processor, step))  # type: ignore[attr-defined]

    def teardown(self, stage: str) -> None:
        self.history.close()

    def on_save_checkpoint(self, state: dict) -> None:
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state["state_dict"] = {name: tensor for name, tensor in state["state_dict"].items() if name in trained}
        state["curve"] = self.history.curve
        state["machine"] = {"threads": torch.get_num_threads(), "compile": self.machine.compile}

    def on_load_checkpoint(self, state: dict) -> None:
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        assert trained == set(state["state_dict"]), trained ^ set(state["state_dict"])
        self.history.curve, self.saved = state["curve"], state["global_step"]
        # restart at the window's first micro-batch; this machine may cut a step into another number of them
        done = self.saved * self.trainer.accumulate_grad_batches
        progress = state["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for part in ("total", "current"):
            progress[part] |= {"ready": done, "started": done, "processed": done, "completed": done - 1}

    def _mesh(self):
        assert self.device_mesh is not None
        return self.device_mesh["data_parallel"]
