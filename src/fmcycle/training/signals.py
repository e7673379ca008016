"""SIGTERM and Ctrl-C: how a run is asked to stop, and what becomes of it."""

import signal
from contextlib import contextmanager

from fmcycle.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN = "the same command goes on from the last checkpoint"


@contextmanager
def at_once():
    """Raise Interrupted wherever a signal comes: for work that is lost anyway, or that a checkpoint has kept already."""

    def stop(signum, frame):
        raise Interrupted(f"stopped by {signal.Signals(signum).name}; {AGAIN}")

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Wish:
    """`asked` becomes true at the first signal; a second Ctrl-C does not wait for whoever looks at it."""

    def __init__(self):
        self.asked = False

    def listen(self) -> None:
        """Take the signals from whoever has them; `at_once` around it gives them back."""
        for number in SIGNALS:
            signal.signal(number, self._hear)

    def _hear(self, signum, frame) -> None:
        if self.asked and signum == signal.SIGINT:
            raise Interrupted(f"stopped by a second Ctrl-C; {AGAIN}")
        self.asked = True


def left_to_parent(worker: int) -> None:
    """In a loader's worker: a signal to the whole group (Ctrl-C, SLURM) is for the training process, which ends its workers itself."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
