"""Not a test: what the tests of executors run in a worker, which must be able to import it."""

import os
import signal

from fmcycle.errors import InputError


def about(item):
    """The item, threads of Polars, the process."""
    import polars

    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "fail":
        raise ValueError("no such shard")
    if item == "refuse":
        raise InputError("no such file")
    return item, polars.thread_pool_size(), os.getpid()
