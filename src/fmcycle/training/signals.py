"""Handles SIGTERM and Ctrl-C: stop at once, or after the current step."""

import signal
from contextlib import contextmanager

from fmcycle.errors import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN = "the same command resumes from the last checkpoint"


class Stop(BaseException):
    """A signal came. No Exception: a library that catches those, as an import of transformers does, would go on, or blame a config."""


@contextmanager
def at_once():
    """Raise Interrupted as soon as a signal comes: for work that has no checkpoint, or that a checkpoint already holds."""

    def stop(signum, frame):
        raise Stop(f"stopped by {signal.Signals(signum).name}; {AGAIN}")

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except Stop as error:
        raise Interrupted(str(error)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Wish:
    """A request to stop: `asked` becomes true at the first signal; a second Ctrl-C raises Stop at once."""

    def __init__(self):
        self.asked = False

    def listen(self) -> None:
        """Handle the signals from now on; the `at_once` around it restores the earlier handlers."""
        for number in SIGNALS:
            signal.signal(number, self._hear)

    def _hear(self, signum, frame) -> None:
        if self.asked and signum == signal.SIGINT:
            raise Stop(f"stopped by a second Ctrl-C; {AGAIN}")
        self.asked = True


def left_to_parent(worker: int) -> None:
    """Ignore the signals in a loader worker: Ctrl-C and SLURM send them to the whole group, and the training process ends its workers."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
