"""What a command ends with: an error becomes one message and an exit code."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fmcycle.distributed import rank
from fmcycle.errors import InputError


@dataclass
class Outcome:
    """The exit code of a block: 0 done, 1 failed, 2 refused before any work, 3 a gate said no, 75 interrupted and resumable."""

    code: int = 0


@contextmanager
def told() -> Iterator[Outcome]:
    """The outcome of the block. An error of ours is printed as its message, any other with its traceback; neither leaves the block."""
    outcome = Outcome()
    try:
        yield outcome
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        outcome.code = 75
    except Exception as error:
        if not isinstance(error, InputError):
            rank.end_with_others(error)
        outcome.code = getattr(error, "exit_code", 0) or 1
        if hasattr(error, "exit_code"):
            print(error, file=sys.stderr)
        else:
            traceback.print_exc()
