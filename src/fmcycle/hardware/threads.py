"""Sets the number of threads and how they wait, in the environment, before torch is imported. Imports nothing heavy."""

import os
from pathlib import Path

# turns of libgomp's loop before a waiting thread sleeps. The default of 300,000 takes some ms: with one other busy process, two threads
# on two cores then spend their time slices waiting for each other. benchmarks/busy.py measures it.
SPIN = "1000"
CGROUPS = ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us")


def cores() -> int:
    """Return the number of cores that this process may use: those of its affinity, and no more than its cgroup's quota."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(mine, quota() or mine))


def quota(files: tuple[str, ...] = CGROUPS) -> int | None:
    """Return the whole cores of CPU time that the cgroup (version 2, then 1) may take; None if it has no limit."""
    for file in map(Path, files):
        try:
            words = file.read_text().split()
            if file.name == "cpu.max":
                limit, period = words
            else:
                limit, period = words[0], file.with_name("cpu.cfs_period_us").read_text()
            return max(1, int(limit) // int(period)) if limit not in ("max", "-1") else None
        except (OSError, ValueError, IndexError):
            continue
    return None


def settle() -> str:
    """Set OMP_NUM_THREADS and the spin time of threads, unless set already. Return one line with the threads that torch will use."""
    given = os.environ.get("OMP_NUM_THREADS")
    os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN)
    count = os.environ["OMP_NUM_THREADS"]
    return f"{count} thread{'s' if count != '1' else ''}" + (" (OMP_NUM_THREADS)" if given else f" of {os.cpu_count()} cores")
