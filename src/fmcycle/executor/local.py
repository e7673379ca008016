"""Runs curation in processes of this machine."""

import ctypes
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass, field

from fmcycle.errors import InputError
from fmcycle.ranges import PositiveFloat, PositiveInt


@dataclass
class Local:
    """Runs `workers` processes of one thread each; one worker means this process, with all its threads.

    shard_mb: megabytes of input that a worker reads at a time; it needs about ten times as much memory. A context manager: leaving it
    ends the processes.
    """

    workers: PositiveInt = 1
    shard_mb: PositiveFloat = 8
    pool: ProcessPoolExecutor | None = field(default=None, init=False)

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)
        self.pool = None

    def map(self, function: Callable, items: Iterable) -> Iterator:
        """Yield function(item) of every item, in their order. Raises InputError if a process was killed."""
        if self.workers == 1:
            yield from map(function, items)
            return
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(self._submit(function, item))
                if len(waiting) > 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenExecutor as error:
            raise InputError(
                "a worker process was killed, possibly for lack of memory. Run the same command again to resume; "
                "fewer executor.workers or a smaller executor.shard_mb need less memory"
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def _submit(self, function: Callable, item):
        if not self.pool:
            context = multiprocessing.get_context("spawn")  # a fork would copy the locks of Polars' threads
            self.pool = ProcessPoolExecutor(self.workers, context, begin, (os.getpid(),))
        before = os.environ.get("POLARS_MAX_THREADS")
        os.environ["POLARS_MAX_THREADS"] = "1"  # read when a process imports polars; any item may start one
        try:
            return self.pool.submit(function, item)
        finally:
            del os.environ["POLARS_MAX_THREADS"]
            if before is not None:
                os.environ["POLARS_MAX_THREADS"] = before


def begin(parent: int) -> None:
    """Initialize a new process: it ends with the process that started it, even if that is killed (Linux), and ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        return  # not Linux: a process without its parent ends after its current item
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
