"""Free memory of this process."""

import os
from pathlib import Path

LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def free() -> int:
    """Return the bytes that are available without swapping, on this machine and within the limit of this process's cgroup."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        found = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux: all memory
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit, used in LIMITS:
        try:
            most, now = ((Path("/sys/fs/cgroup") / file).read_text().strip() for file in (limit, used))
        except OSError:
            continue
        if most != "max":
            found = min(found, int(most) - int(now))
    return found
