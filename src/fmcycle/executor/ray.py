"""Runs curation on a Ray cluster, whose workers share this process's file system and can import fmcycle."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fmcycle.errors import InputError
from fmcycle.ranges import PositiveFloat, PositiveInt


@dataclass
class Ray:
    """Runs `workers` tasks of one core and one thread each on the cluster at `address`; null starts Ray on this machine and stops it again.

    shard_mb: megabytes of input that a task reads at a time; it needs about ten times as much memory. A context manager.
    """

    package: ClassVar[str] = "ray"  # refused before any work if it is not installed

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
        """Yield function(item) of every item, in their order; an item whose worker is killed is tried up to three times.

        Raises the error of `function`, and InputError if an item kills its workers or the cluster is lost.
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
                f"a task was lost on the Ray cluster ({type(error).__name__}), possibly for lack of memory. Run the same command again to "
                "resume; fewer executor.workers or a smaller executor.shard_mb need less memory"
            ) from error
        finally:
            for item in waiting:
                ray.cancel(item)


def raised(error) -> BaseException:
    """Return the error of a task without Ray's wrapping; any error but an InputError gets the remote traceback as a note."""
    cause = error.cause
    if not isinstance(cause, InputError):
        cause.add_note(re.sub(r"\x1b\[\d+m", "", str(error)))  # Ray colours it
    return cause
