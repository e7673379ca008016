"""Records a run's figures: the curve, loss.jsonl and validations; passes them on to the terminal and the loggers."""

import json
from pathlib import Path
from typing import Any

from fmcycle.artifact import atomic
from fmcycle.hardware import peak
from fmcycle.tracking.progress import Watch

STEP = ("step", "loss", "lr", "count", "rows")  # of every step; the objective's other means follow


class History:
    """The figures of a run in `folder`; its checkpoints hold the curve.

    `curve`: {"step", "loss", "lr", "count", "rows" (a digest of the row indices) and the objective's other means: one value a step;
    "validation_step" and "validation_NAME"; "skipped": steps}.
    """

    watch: Watch  # set by `begin`

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.curve: dict[str, list] = {name: [] for name in (*STEP, "validation_step", "validation_loss", "skipped")}

    def begin(self, module: Any, step: int) -> None:
        """Start the display and loggers after `step` of the run of `module`; cut loss.jsonl to that step."""
        trainer, rows = module.trainer, module.trainer.datamodule.train
        self.first = trainer.is_global_zero
        reached = peak.peak(module.device, module.budget.precision)
        self.watch = Watch(
            self.folder,
            module.budget.max_steps,
            step,
            show=self.first,
            device=module.device,
            flops_per_token=peak.flops_per_token(module.model, rows.length if rows.lengths is None else rows.lengths.mean()),
            peak=trainer.world_size * reached,
            pad=getattr(module.model.config, "pad_token_id", None),
            world=trainer.world_size,
            loggers=trainer.loggers,
        )
        if self.first and not reached:
            self.watch.say(peak.BUSY)
        if self.first:
            atomic.write_text(self.folder / "loss.jsonl", "".join(self._line(index) for index in range(len(self.curve["step"]))))

    def add(self, step: int, figures: dict[str, float | None], norm: float | None) -> None:
        """Record a finished optimizer step in the curve and in loss.jsonl, and show it. norm: of its gradient, None if it was skipped."""
        for name, value in (("step", step), *figures.items()):
            self.curve.setdefault(name, []).append(value)
        if self.first:
            with open(self.folder / "loss.jsonl", "a") as log:
                log.write(self._line(-1))
        own = {name: self.curve[name][-1] for name in ("loss", "lr", *self.own)}
        self.watch.update(step, own | {"gradient_norm": norm, "skipped": len(self.curve["skipped"])})

    def skipped(self, step: int) -> int:
        """Record that `step` is skipped; return the number of consecutive skipped steps."""
        steps = self.curve["skipped"] = [*self.curve["skipped"], step]
        return next((count for count, each in enumerate(reversed(steps)) if each != step - count), len(steps))

    def validated(self, step: int) -> bool:
        """True if the curve holds the validation of `step`."""
        return step in self.curve["validation_step"]

    def add_validation(self, step: int, means: dict[str, float]) -> None:
        """Record the validation of `step` in the curve, and show it."""
        figures = {f"validation_{name}": value for name, value in means.items()}
        for name, value in {"validation_step": step, **figures}.items():
            self.curve.setdefault(name, []).append(value)
        with self.watch.aside():
            self.watch.validated(step, figures)

    @property
    def own(self) -> list[str]:
        """Names of the objective's means in the curve, other than the loss."""
        return [name for name in self.curve if name not in (*STEP, "skipped") and not name.startswith("validation_")]

    def close(self) -> None:
        """Stop the display."""
        if hasattr(self, "watch"):
            self.watch.stop()

    def _line(self, index: int) -> str:
        return json.dumps({name: self.curve[name][index] for name in (*STEP, *self.own)}) + "\n"
