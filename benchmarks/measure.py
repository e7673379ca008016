"""Programs side by side: each in fresh processes, in turns, one thread; tokens per CPU second and peak memory as JSON lines.

A program calls `Meter` (this file is on its path; it needs the standard library only, so that peers' environments can import it).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ROOT / ".cache/benchmarks"


class Meter:
    """CPU seconds over the steps after the first `warm` ones; `step` is called at the end of each step with its real tokens."""

    def __init__(self, warm: int = 1):
        self.warm, self.tokens, self.seen, self.began = warm, 0, 0, (0.0, 0.0)

    def step(self, tokens: int) -> None:
        self.seen += 1
        if self.seen > self.warm:
            self.tokens += tokens
        elif self.seen == self.warm:
            self.began = time.process_time(), time.perf_counter()

    def report(self, **more) -> None:
        """Print the measurement, the last line of the program."""
        cpu, wall = time.process_time() - self.began[0], time.perf_counter() - self.began[1]
        found = {"tokens": self.tokens, "cpu_seconds": round(cpu, 3), "seconds": round(wall, 3), "peak_bytes": peak_bytes()}
        print(json.dumps(found | more), flush=True)


def peak_bytes() -> int:
    """The most resident memory that this process ever had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM")


def environment(name: str, *packages: str, torch: bool = True) -> str:
    """Python of an environment of its own under .cache/benchmarks, made from the registry when it is not there; `torch` puts ours in."""
    folder = ENVIRONMENTS / name
    if not (folder / ".made").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin/pip"), "install", "--quiet"]
        ours = ["torch==2.13.0"] if torch else []
        for wanted in filter(None, (["--upgrade", "pip"], ours, [*ours, *packages])):
            subprocess.run([*pip, *wanted], check=True)
        (folder / ".made").touch()
    return str(folder / "bin/python")


def compare(programs: dict[str, list[str]], rounds: int = 2, threads: int = 1) -> dict[str, dict]:
    """Run every program `rounds` times in turns and print one line each: the median rate, the highest peak."""
    runs: dict[str, list[dict]] = {name: [] for name in programs}
    path = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT / "src")])
    variables = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    for _ in range(rounds):
        for name, command in programs.items():
            done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{name} failed: {' '.join(command)}\n{done.stderr[-2000:]}")
            runs[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    rows = {}
    for name, found in runs.items():
        rates = [run["tokens"] / run["cpu_seconds"] for run in found]
        rows[name] = {
            "name": name,
            "tokens_per_cpu_second": round(statistics.median(rates), 1),
            "rates": [round(rate, 1) for rate in rates],
            "peak_gb": round(max(run["peak_bytes"] for run in found) / 1e9, 3),
        }
        extra = {key: value for key, value in found[-1].items() if key not in ("tokens", "cpu_seconds", "seconds", "peak_bytes")}
        print(json.dumps(rows[name] | extra), flush=True)
    return rows
