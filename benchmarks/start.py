"""Seconds from `fmcycle pretrain` to the end of its first step, not compiled, imports warmed. Needs artifacts/ (`make lifecycle`).

python benchmarks/start.py [ROUNDS]
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INPUTS = {"tokens": "artifacts/tokens", "processor": "artifacts/processor", "documents": "artifacts/curate/documents.parquet"}
COMMAND = ["-m", "fmcycle.cli.main", "pretrain", "budget.max_steps=1000", "budget.validate_every=0", "trainer.threads=1"]
COMMAND += [f"inputs.{name}={path}" for name, path in INPUTS.items()]


def project(folder: Path) -> None:
    """A project of its own whose runs/ is empty and that reads this one's artifacts."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "artifacts").symlink_to(ROOT / "artifacts")


def once() -> dict[str, float]:
    """{"seconds", "cpu_seconds"} to the end of the first step and {"step"}, the CPU seconds of the second one."""
    with tempfile.TemporaryDirectory() as name:
        project(Path(name))
        variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        began = time.perf_counter()
        run = subprocess.Popen(
            [sys.executable, *COMMAND], cwd=name, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        seen: list[tuple[float, float]] = []
        while len(seen) < 2:
            if run.poll() is not None:
                raise SystemExit(f"{' '.join(COMMAND)} ended with {run.returncode}:\n{run.communicate()[0][-2000:]}")
            logs = [log for log in Path(name).glob("runs/pretrain/*/loss.jsonl") if len(log.read_text().splitlines()) > len(seen)]
            if logs:
                seen.append((time.perf_counter() - began, cpu_seconds(run.pid)))
            time.sleep(0.01)
        run.kill()
        run.communicate()
    return {"seconds": round(seen[0][0], 1), "cpu_seconds": round(seen[0][1], 1), "step": round(seen[1][1] - seen[0][1], 2)}


def cpu_seconds(pid: int) -> float:
    """Of a process that runs, user and system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    once()  # warms the imports and the files' cache
    runs = [once() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    print(json.dumps({key: statistics.median(run[key] for run in runs) for key in runs[0]} | {"runs": runs}))
