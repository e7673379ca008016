"""Peak FLOP/s of a device and FLOPs of a token, from which MFU (model FLOPs utilisation) is computed."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

from fmcycle.artifact import atomic

PAGE = os.sysconf("SC_PAGE_SIZE")
CACHE = Path(".cache/peak.json")
QUIET = 0.85  # share of its cores' time that a product on the CPU has to get: with less, other processes made it slow
BUSY = "no MFU: other processes took this machine's cores while its peak was measured, and .cache/peak.json has none of a quiet moment"
# dense FLOP/s of one device with bf16 (fp16 if it has no bf16) and fp32 inputs, from the makers' data sheets; the first match counts
PEAKS = {
    "B200": (2250e12, 75e12),
    "H200": (989e12, 67e12),
    "H100 PCIe": (756e12, 51e12),
    "H100 NVL": (835e12, 60e12),
    "H100": (989e12, 67e12),
    "A100": (312e12, 19.5e12),
    "L40S": (362e12, 91.6e12),
    "L4": (121e12, 30.3e12),
    "A10": (125e12, 31.2e12),
    "A30": (165e12, 10.3e12),
    "V100": (125e12, 15.7e12),
    "T4": (65e12, 8.1e12),
    "RTX 4090": (165e12, 82.6e12),
    "RTX 3090": (71e12, 35.6e12),
    "MI300X": (1307e12, 163e12),
}


def peak(device: torch.device, precision: str) -> float:
    """Return the peak FLOP/s of `device` at a budget's `precision`: its data sheet's, else the best matrix product measured here.

    0 if the machine is too busy to measure it and no quiet measurement is kept.
    """
    half = precision != "32-true"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    for known, rates in PEAKS.items():
        if device.type == "cuda" and known in name:
            return rates[0] if half else rates[1]
    dtype = torch.bfloat16 if half and device.type == "cuda" else torch.float32  # a CPU emulates bf16: fp32 is its best
    key = f"{name}, {torch.get_num_threads()} threads, {dtype}, torch {torch.__version__}, quiet"
    try:
        known_rates = json.loads(CACHE.read_text())
    except (OSError, ValueError):
        known_rates = {}
    best = max(measured(device, dtype), known_rates.get(key, 0.0))  # the best ever, as a busy moment does not lower a processor's peak
    if best != known_rates.get(key, 0.0):
        atomic.write_json(CACHE, known_rates | {key: best})
    return best


def measured(device: torch.device, dtype: torch.dtype, seconds: float = 0.1) -> float:
    """Return the FLOP/s of a square matrix product, the best of those within `seconds`; on a CPU, of those that had their cores, or 0."""
    size = 4096 if device.type == "cuda" else 1024
    left, right = (torch.full((size, size), 0.5, device=device, dtype=dtype) for _ in range(2))
    torch.mm(left, right)
    best, end, tries = float("inf"), time.perf_counter() + seconds, 0
    while not tries or time.perf_counter() < end:
        _wait(device)
        began, cpu = time.perf_counter(), time.process_time()
        torch.mm(left, right)
        _wait(device)
        took, cpu, tries = time.perf_counter() - began, time.process_time() - cpu, tries + 1
        if device.type == "cuda" or cpu >= QUIET * took * torch.get_num_threads():
            best = min(best, took)
    return 2 * size**3 / best  # 0 if no product was quiet


def flops_per_token(model: Any, length: int) -> float:
    """Return the FLOPs of one token in a row of `length`: 2 a weight forward, 2 for its input's gradient, 2 for that of a trained weight.

    An embedding is looked up, not multiplied, unless it is also the output layer. Causal attention sees half of the row on average.
    0 for a model without layers over tokens. Source: Chowdhery et al., PaLM (2022), appendix B.
    """
    config = model.config
    if not hasattr(config, "num_hidden_layers") or not hasattr(config, "hidden_size"):
        return 0.0
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    looked_up -= {id(p) for p in head.parameters()} if head is not None else set()
    matrices = {id(p): p for p in model.parameters() if p.ndim == 2 and id(p) not in looked_up}
    every = sum(p.numel() for p in matrices.values())
    trained = sum(p.numel() for p in matrices.values() if p.requires_grad)
    attention = 6 * config.num_hidden_layers * config.hidden_size * length  # 12 without causal attention
    return 4 * every + 2 * trained + attention


def memory(device: torch.device) -> int:
    """Return the bytes in use: on a GPU the peak since the start, else the current memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        with open("/proc/self/statm") as handle:
            return int(handle.read().split()[1]) * PAGE
    except OSError:  # not Linux: the peak of this process
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _processor() -> str:
    try:
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return models[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
