"""Turns the error that ends a command into one message and an exit code."""

import os
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.distributed import rank
from fmcycle.errors import InputError


@dataclass
class Outcome:
    """The exit code of a block: 0 done, 1 failed, 2 refused before any work, 3 refused by a gate, 75 interrupted and resumable."""

    code: int = 0


def deaf() -> bool:
    """True if nobody reads this process's output any more, as behind `| head`."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


@contextmanager
def told() -> Iterator[Outcome]:
    """Yield the outcome of the block. Prints an error of fmcycle as its message, any other with its traceback; neither leaves the block."""
    outcome = Outcome()
    try:
        yield outcome
        if sys.stdout:  # None behind `>&-`
            sys.stdout.flush()  # a reader that is gone shows here, not at the exit
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        outcome.code = 75
    except Exception as error:
        if isinstance(error, BrokenPipeError) and deaf():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered must not fail at the exit
            outcome.code = 128 + signal.SIGPIPE
            return
        if not isinstance(error, InputError):
            rank.end_with_others(error)
        if atomic.full(error) and not hasattr(error, "exit_code"):
            error = atomic.no_space(getattr(error, "filename", None) or Path.cwd())
        outcome.code = getattr(error, "exit_code", 0) or 1
        if hasattr(error, "exit_code"):
            print(error, file=sys.stderr)
        else:
            traceback.print_exc()
