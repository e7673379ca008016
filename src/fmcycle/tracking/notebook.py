"""A progress bar that a notebook shows in one place, without widgets."""

import sys
import time
from html import escape

EVERY = 0.25  # seconds between two updates: a page that gets thousands of them falls behind


def inside() -> bool:
    """True if this process is the kernel of a notebook, which shows rich output."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class Bar:
    """A bar from `completed` to `total`; `update` replaces what it shows."""

    def __init__(self, name: str, total: int, completed: int = 0):
        from IPython.display import display

        self.name, self.total, self.completed, self.text, self.said = name, total, completed, "", 0.0
        self.handle = display(self, display_id=True)

    def update(self, completed: int, text: str = "") -> None:
        """Show `completed` and `text`, at most every EVERY seconds; the end is always shown."""
        self.completed, self.text = completed, text
        if completed >= self.total or time.monotonic() - self.said > EVERY:
            self.show()

    def show(self) -> None:
        """Replace what the notebook shows."""
        self.said = time.monotonic()
        self.handle.update(self)

    def __repr__(self) -> str:
        return f"{self.name} {self.completed}/{self.total}  {self.text}".rstrip()

    def _repr_html_(self) -> str:
        return f'<progress value="{self.completed}" max="{self.total}"></progress> <code>{escape(repr(self))}</code>'
