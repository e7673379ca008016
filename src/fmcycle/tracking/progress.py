"""Shows a running training: progress bar or lines, steps.jsonl, loggers and the run's page, all from the same figures."""

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fmcycle.errors import DiskFull
from fmcycle.hardware import peak
from fmcycle.tracking import notebook, run_page, run_record
from fmcycle.tracking.loggers import Log

RECENT = 20  # steps over which the shown speed is averaged
EVERY = 30.0  # seconds between two lines if there is no terminal


class Watch:
    """Shows and logs each optimizer step, from step `start` of `total` on. `show` false: prints and writes nothing (other ranks).

    flops_per_token, peak (FLOP/s over all devices): give MFU; 0 if unknown. pad: padding token, not counted;
    world: number of devices, each assumed to see as many tokens as this one. loggers: Lightning's.
    """

    def __init__(
        self,
        folder: str | Path,
        total: int,
        start: int,
        *,
        show: bool,
        device: torch.device | None = None,
        flops_per_token: float = 0.0,
        peak: float = 0.0,
        pad: int | None = None,
        world: int = 1,
        loggers: Sequence = (),
    ):
        self.folder, self.total, self.start, self.show = Path(folder), total, start, show
        self.pad, self.world = pad, world
        self.device, self.flops_per_token, self.peak = device or torch.device("cpu"), flops_per_token, peak
        self.console = Console()
        self.recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self.step, self.live = start, False
        self.page: notebook.Bar | None = None
        self.tokens: int | torch.Tensor = 0
        self.unit = "tokens"
        if show:
            self.steps = run_record.Steps(folder, start)
            self.log = Log(loggers, folder, self.steps.reached)
            run_record.note(folder, from_step=start, total=total)
            self._bar()
        self.began = self.said = self.mark = time.monotonic()

    def saw(self, batch) -> None:
        """Count the tokens of a micro-batch, or its rows if it has none, without waiting for the device."""
        found = tokens(batch, self.pad)
        if isinstance(found, int) and not found:
            self.unit, found = "rows", len(next(iter(batch.values())))
        self.tokens = self.tokens + found

    def update(self, step: int, figures: dict[str, float]) -> None:
        """Show and log finished step `step` with `figures` (loss, lr, gradient_norm ...); a figure that is None is left out."""
        now = time.monotonic()
        self.recent.append((now - self.mark, self.world * int(self.tokens)))
        if step - self.start == 2:
            self.recent.popleft()  # the first step of a process warms up, or compiles
        self.mark, self.tokens, self.step = now, 0, step
        if not self.show:
            return
        row = {"step": step} | {name: value for name, value in figures.items() if value is not None} | self.machine()
        self._add(row)
        if self.page:
            self.page.update(step, f"{line(row)}  {clock(self.left())} left")
        elif self.live:
            self.bar.update(self.task, completed=step, description=line(row))
        elif now - self.said > EVERY or step == self.total:
            self.say(f"step {step}/{self.total}  {line(row)}  {clock(self.left())} left")
            self.said = now

    def validated(self, step: int, figures: dict[str, float]) -> None:
        """Show and log the validation of `step`: {"validation_loss", ...}."""
        if self.show:
            self._add({"step": step} | figures)
            self.say(f"step {step}/{self.total}  " + "  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items()))
            self.keep()

    def sampled(self, found: list[dict]) -> None:
        """Append the samples of `sample.take` to samples.jsonl; print the first as one line."""
        if self.show and found:
            with open(self.folder / run_record.SAMPLES, "a") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
            prompt, made = (" ".join(found[0][part].split()) for part in ("prompt", "continuation"))
            self.say(f"step {found[0]['step']}/{self.total}  ...{prompt[-40:]} >> {made}"[:160])
            self.keep()

    def machine(self) -> dict[str, float]:
        """Return tokens (or rows) a second and MFU over the last RECENT steps, and bytes of memory now."""
        seconds, seen = (sum(part) for part in zip(*self.recent, strict=True))
        rate = seen / max(seconds, 1e-9)
        found = {f"{self.unit}_per_s": round(rate, 1), "memory": peak.memory(self.device)}
        if self.peak and self.flops_per_token and self.unit == "tokens":
            found["mfu"] = round(rate * self.flops_per_token / self.peak, 4)
        return found

    def left(self) -> float:
        """Return the seconds to the end at the mean pace since the start, validation and checkpoints included."""
        return (time.monotonic() - self.began) / max(self.step - self.start, 1) * (self.total - self.step)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Exclude the time spent inside (validation, checkpoint, sample) from the step's time."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.mark += time.monotonic() - began

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        if self.live:
            self.console.print(text, markup=False, highlight=False, no_wrap=True, overflow="ellipsis")
        elif self.show:
            print(text, flush=True)

    def keep(self) -> None:
        """Sync the steps to disk and rewrite the page: after a validation or a checkpoint, and at the end."""
        if self.show:
            self.steps.keep()
            try:
                run_page.write(self.folder, self.steps)
            except DiskFull as error:  # the page can be drawn again; an error that ended the run must not be hidden by it
                self.say(str(error))

    def stop(self) -> None:
        """Stop the bar and close loggers and steps."""
        if self.live:
            self.bar.stop()
        if self.page:
            self.page.show()
        if self.show:
            self.log.close()
            self.keep()
            self.steps.close()
            self.show = self.live = False
            self.page = None

    def _add(self, row: dict) -> None:
        self.steps.add(row)
        self.log.add(row)

    def _bar(self) -> None:
        self.page = notebook.Bar("step", self.total, self.start) if notebook.inside() else None
        self.live = self.console.is_terminal and not self.page
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        if self.live:
            self.task = self.bar.add_task("", total=self.total, completed=self.start)
            self.bar.start()


def track(items: Sequence, description: str) -> Iterator:
    """Yield `items` with a bar, on a terminal or in a notebook; without either, nothing is shown."""
    if not notebook.inside():
        from rich import progress

        yield from progress.track(items, description=description, disable=not Console().is_terminal)
        return
    bar = notebook.Bar(description, len(items))
    for number, item in enumerate(items, 1):
        yield item
        bar.update(number)


def tokens(batch, pad: int | None):
    """Return the number of tokens in every `input_ids` of a batch, without `pad`: an int, or a tensor on the batch's device."""
    if not isinstance(batch, dict):
        return 0
    found = sum(tokens(value, pad) for value in batch.values())
    if (ids := batch.get("input_ids")) is None:
        return found
    return found + (ids.numel() if pad is None else (ids != pad).sum())


def line(row: dict) -> str:
    """Return the figures of a step as one short line."""
    parts = [f"loss {row['loss']:.3f}" if "loss" in row else "left out"]
    parts += [f"{row[f'{unit}_per_s']:,.0f} {unit}/s" for unit in ("tokens", "rows") if f"{unit}_per_s" in row]
    if "mfu" in row:
        parts.append(f"MFU {row['mfu']:.2f}")
    parts.append(f"{row['memory'] / 2**30:.2f} GB")
    if row.get("skipped"):
        parts.append(f"{row['skipped']:.0f} skipped")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Format seconds: 90 -> 1:30, 4000 -> 1:06:40."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
