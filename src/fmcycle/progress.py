"""What a person sees of a run: step, loss, rate and time left."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Watch:
    """A bar on a terminal; a line every half minute elsewhere. `show` false: silent (ranks other than the first)."""

    def __init__(self, total: int, start: int, *, show: bool):
        self.console, self.show = Console(), show
        self.total, self.start, self.began, self.said = total, start, time.monotonic(), time.monotonic()
        self.tokens = 0
        self.bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.live = show and self.console.is_terminal
        if self.live:
            self.task = self.bar.add_task("", total=total, completed=start)
            self.bar.start()

    def update(self, step: int, loss: float, tokens: int) -> None:
        """`step` steps are done, the last with `loss` and `tokens` tokens (or pairs)."""
        self.tokens += tokens
        now = time.monotonic()
        text = f"loss {loss:.3f}  {self.tokens / max(now - self.began, 1e-9):,.0f} targets/s"
        if self.live:
            self.bar.update(self.task, completed=step, description=text)
        elif self.show and (now - self.said > 30 or step == self.total):
            left = (now - self.began) / (step - self.start) * (self.total - step)
            print(f"step {step}/{self.total}  {text}  {left:.0f} s left", flush=True)
            self.said = now

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self.live:
            self.bar.stop()
