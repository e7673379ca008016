"""Speed and memory of this machine; converts the work of a step into seconds."""

import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from fmcycle.artifact import atomic
from fmcycle.hardware import memory, peak

CACHE = Path(".cache/pace.json")
RATE = {  # {kind of work (step_cost.KINDS): the rate of `rates` that it runs at}
    "matmul_flops": "flops",
    "matmul_bytes": "bytes",
    "batched_flops": "flops",
    "attention_flops": "flops",
    "near_bytes": "near",
    "far_bytes": "bytes",
    "functions": "functions",
    "calls": "calls",
}
# how many times slower than the machine's best rate each kind is; `benchmarks/plan.py fit` measures them
EAGER = {
    "matmul_flops": 1.1,
    "matmul_bytes": 0.53,
    "batched_flops": 2.2,
    "attention_flops": 3.1,
    "near_bytes": 1.0,
    "far_bytes": 1.32,
    "functions": 1.07,
    "calls": 0.71,
}
COMPILED = EAGER | {"near_bytes": 0.5, "far_bytes": 0.5, "calls": 0.3}  # fused operations pass once over their tensors; not measured


def name(device: torch.device, *, precision: str, compiled: bool) -> dict:
    """Return this machine's name in the ledger: everything that a prediction's error depends on."""
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else peak._processor()
    return {"device": what, "threads": torch.get_num_threads(), "precision": precision, "compile": compiled}


@functools.cache
def rates(device: torch.device, precision: str) -> dict[str, float]:
    """Return {"flops", "bytes", "near", "functions", "calls"} per second, measured in half a second; keeps the best ever measured here.

    bytes: of tensors larger than the caches, near: of smaller ones; functions: values of an exponential.
    """
    key = json.dumps(name(device, precision="any", compiled=False))
    try:
        known = json.loads(CACHE.read_text())
    except (OSError, ValueError):
        known = {}
    best = known.get(key, {})
    now = {"bytes": _bandwidth(device, 2**24, 1), "near": _bandwidth(device, 2**15, 100), "calls": _calls(device)}
    now["functions"] = _functions(device)
    on_gpu = device.type == "cuda"  # its "flops" come from a data sheet, one for each precision, and are not kept
    now |= {} if on_gpu else {"flops": _products()}
    now = {what: max(best.get(what, 0.0), rate) for what, rate in now.items()}  # the best ever: other processes only lower it
    if now != best:
        atomic.write_json(CACHE, known | {key: now})
    return now | ({"flops": peak.peak(device, precision)} if on_gpu else {})


def seconds(work: dict[str, float], rate: dict[str, float], *, compiled: bool) -> float:
    """Return the seconds of `work` (amounts of step_cost.KINDS) at the machine's rates."""
    slow = COMPILED if compiled else EAGER
    return sum(amount * slow[kind] / rate[RATE[kind]] for kind, amount in work.items())


def _best(work: Callable, device: torch.device, tries: int = 5) -> float:
    """Return the least seconds of `work`; on a CPU, CPU seconds of one thread."""
    best = float("inf")
    for _ in range(tries + 1):  # the first one warms up
        began = _clock(device)
        work()
        best = min(best, _clock(device) - began)
    return best


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


def age() -> float:
    """Return the seconds since this process began, on Linux."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])  # starttime: ticks since the boot
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _products() -> float:
    """Return the FLOP/s of an fp32 matrix product on the CPU, which emulates bf16."""
    a = torch.full((1024, 1024), 0.5)
    return 2 * 1024**3 / _best(lambda: torch.mm(a, a), torch.device("cpu"), 8)


def _bandwidth(device: torch.device, size: int, count: int) -> float:
    """Return the bytes a second that `count` sums of two tensors of `size` values read and write."""
    a = torch.ones(size, device=device)
    b = torch.ones_like(a)
    return 3 * count * size * a.element_size() / _best(lambda: [torch.add(a, b, out=a) for _ in range(count)], device)


def _functions(device: torch.device) -> float:
    """Return the values of the exponential function a second."""
    a = torch.zeros(2**15, device=device)
    out = torch.empty_like(a)
    return 30 * a.numel() / _best(lambda: [torch.exp(a, out=out) for _ in range(30)], device)


def _calls(device: torch.device) -> float:
    """Return the operations on small tensors a second, forward and backward."""
    a, count = torch.ones(8, device=device, requires_grad=True), 200

    def work():
        x = a
        for _ in range(count):
            x = x * 1.0
        x.sum().backward()

    return 2 * count / _best(work, device)


def capacity(device: torch.device) -> int:
    """Return the bytes that this process can use at most now: on the GPU, else free memory and its own, within its cgroup."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return memory.free() + peak.memory(device)


def forget(device: torch.device) -> None:
    """Restart a GPU's peak of memory here: earlier computations are no part of the run."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def highest(device: torch.device) -> int:
    """Return the peak bytes of this process: on the GPU, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024  # getrusage would count the parent's memory before this process began
    except (OSError, KeyError):
        return peak.memory(device)
