"""Curation of more text than memory holds: peak memory, time against size, and two workers against one.

    python benchmarks/curate_stream.py 250 1000                     # megabytes of input; about 5 minutes on 2 cores
    python benchmarks/curate_stream.py 5000 --workers 2             # one size
    python benchmarks/curate_stream.py 250 executor=ray             # any override of `fmcycle curate` behind the sizes

The corpus is made in a temporary folder: sentences of the raw data (or of --text FOLDER) drawn anew for each document, one in twenty a
copy of an earlier document and one in twenty the same with a word changed. Every run is the command `fmcycle curate` in a process of its
own. One JSON line a run: seconds, MB/s of input, CPU seconds of all processes and of the first alone, `peak_gb`: the most resident memory
of all its processes together (what they share is counted for each). Last line: `workers`, the time of one worker (one thread) over that of
two; `linear`, seconds a megabyte of the largest size over those of the smallest, with the most workers.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fmcycle.source import reader

ROOT = Path(__file__).resolve().parents[1]
SENTENCES = 200_000


def sentences(folder: Path) -> list[str]:
    """Sentences of the documents of a folder, at most some hundred thousand, from all over it."""
    texts = reader.read(folder).table("documents")["text"].to_list()
    random.Random(0).shuffle(texts)
    found: list[str] = []
    for text in texts:
        found += [part for part in re.split(r"(?<=[.!?])\s+", text) if 20 < len(part) < 500]
        if len(found) > SENTENCES:
            break
    return found


def write(folder: Path, megabytes: float, parts: list[str]) -> None:
    """A corpus of JSONL files; a larger one begins with a smaller one."""
    draw, earlier, size, number = random.Random(1), [], 0, 0
    folder.mkdir()
    while size < megabytes * 1e6:
        with open(folder / f"{number // 100_000:04d}.jsonl", "w") as file:
            while size < megabytes * 1e6:
                text = " ".join(draw.choices(parts, k=draw.randint(2, 60)))
                kind = draw.random()
                if earlier and kind < 0.1:
                    text = draw.choice(earlier)
                    text = text if kind < 0.05 else text.replace(" the ", " one ", 1)
                if len(earlier) < 5000 or draw.random() < 0.01:
                    earlier = [*earlier[-4999:], text]
                size += file.write(json.dumps({"id": f"d{number}", "text": text}) + "\n")
                number += 1
                if number % 100_000 == 0:
                    break


def resident(root: int) -> int:
    """Bytes in memory of a process and of all that it started, by /proc."""
    parents, pages = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)], pages[int(entry)] = int(stat[1]), int(stat[21])
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += pages.get(process, 0)
        waiting += [child for child, parent in parents.items() if parent == process]
    return total * os.sysconf("SC_PAGE_SIZE")


def spent(process: int) -> float:
    """CPU seconds of a process that runs, without those that it started."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def measured(folder: Path, data: Path, workers: int, overrides: list[str]) -> dict:
    """One run of `fmcycle curate` over `data`, in an empty project."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(ROOT / "conf", project / "conf")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "fmcycle.cli.main",
        "curate",
        f"inputs.data={data}",
        "out=out",
        f"executor.workers={workers}",
        *overrides,
    ]
    started, peak, alone = time.monotonic(), 0, 0.0
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)
        ended = threading.Event()
        threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
        while not ended.wait(0.05):
            peak, alone = max(peak, resident(process.pid)), max(alone, spent(process.pid))
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{' '.join(command)}\n{log.read()[-2000:]}")
    seconds, cpu = time.monotonic() - started, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
    size = sum(file.stat().st_size for file in data.iterdir()) / 1e6
    found = json.loads((project / "out/profile.json").read_text())
    row = {"megabytes": round(size), "workers": workers, "seconds": round(seconds, 1), "mb_per_second": round(size / seconds, 1)}
    row |= {"cpu_seconds": round(cpu, 1), "first_process": round(alone, 1)}
    row |= {"peak_gb": round(peak / 1e9, 3)} | {name: found[name] for name in ("read", "kept", "dropped")}
    row["manifest"] = json.loads((project / "out/manifest.json").read_text())["documents.parquet"]["sha256"][:12]
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """All sizes with all numbers of workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="+", help="megabytes, and overrides of the stage")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--text", type=Path, default=ROOT / "data")
    asked = parser.parse_args()
    overrides = [text for text in asked.sizes if "=" in text or "~" in text]
    sizes = sorted(float(text) for text in asked.sizes if text not in overrides)
    parts = sentences(asked.text)
    rows = []
    with tempfile.TemporaryDirectory(prefix="curate-stream-") as name:
        for size in sizes:
            write(Path(name) / "data", size, parts)
            rows += [measured(Path(name), Path(name) / "data", workers, overrides) for workers in asked.workers]
            shutil.rmtree(Path(name) / "data")
    summary: dict = {"peak_gb": max(row["peak_gb"] for row in rows)}
    took = {(row["megabytes"], row["workers"]): row["seconds"] for row in rows}
    (small, most), (large, _) = min(took), max(took)
    if len(asked.workers) > 1:
        summary["workers"] = round(took[large, min(asked.workers)] / took[large, max(asked.workers)], 2)
    if len(sizes) > 1:
        most = max(asked.workers)
        summary["linear"] = round(took[large, most] / large / (took[small, most] / small), 2)
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
