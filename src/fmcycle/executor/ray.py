"""A Ray cluster: its workers see the same folders as this process (a shared file system) and can import fmcycle."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fmcycle.errors import InputError
from fmcycle.ranges import PositiveFloat, PositiveInt


@dataclass
class Ray:
    """`workers` tasks of one core and one thread each, on the cluster at `address`; null starts Ray on this machine, and stops it again.

    shard_mb: megabytes of input that a task has in memory at a time, which it needs some ten times. A context manager.
    """

    address: str | None = None
    workers: PositiveInt = 2
    shard_mb: PositiveFloat = 8
    mine: bool = field(default=False, init=False)

    def __enter__(self) -> "Ray":
        try:
            import ray
        except ImportError as error:
            raise InputError("executor=ray needs Ray: `pip install ray`, or choose executor=local") from error
        if not ray.is_initialized():
            settings = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
            if "PYTHONPATH" in os.environ:
                settings["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in os.environ["PYTHONPATH"].split(os.pathsep))
            alone: dict[str, Any] = (
                {} if self.address else {"num_cpus": self.workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            )
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            try:
                ray.init(address=self.address or "local", runtime_env={"env_vars": settings}, log_to_driver=False, **alone)
            except ConnectionError as error:
                raise InputError(f"executor.address {self.address}: no Ray cluster answers there ({error})") from error
            self.mine = True
        return self

    def __exit__(self, *_) -> None:
        import ray

        if self.mine:
            ray.shutdown()
        self.mine = False

    def map(self, function: Callable, items: Iterable) -> Iterator:
        """function(item) of every item, in their order; of a killed worker up to three times.

        Raises what function raised, and InputError when workers die of an item or the cluster goes.
        """
        import ray

        task: Any = ray.remote(num_cpus=1, max_retries=2)(lambda item: function(item))
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(task.remote(item))
                if len(waiting) > 2 * self.workers:
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())
        except ray.exceptions.RayTaskError as error:
            raise raised(error) from None
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise InputError(
                f"a task was lost on the Ray cluster ({type(error).__name__}), for want of memory? Run the same command again, it goes on "
                "where it was; fewer executor.workers or a smaller executor.shard_mb need less"
            ) from error
        finally:
            for item in waiting:
                ray.cancel(item)


def raised(error) -> BaseException:
    """What a task raised, without Ray's wrapping; where it was not our own message to people, with the lines that led there."""
    cause = error.cause
    if not isinstance(cause, InputError):
        cause.add_note(re.sub(r"\x1b\[\d+m", "", str(error)))  # Ray paints it
    return cause
