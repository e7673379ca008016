"""Ledger of predicted and actual costs: runs/ledger.jsonl, one line for each finished run, which corrects the next predictions."""

import json
import math
import os
import statistics
from pathlib import Path

from fmcycle.artifact import atomic

FILE = Path("runs/ledger.jsonl")
LEVEL = 0.9  # of the interval
# prior of log(actual / raw) on a machine without runs: its spread, and how many runs it counts as
PRIOR = {"seconds": (0.25, 4.0), "peak": (0.07, 4.0)}


def append(entry: dict, file: str | Path = FILE) -> None:
    """Add one line atomically: after a kill or a power cut it is whole or absent."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "ab") as handle:
        if handle.tell() and not _ends_a_line(file):
            handle.write(b"\n")  # ends a line that was cut off
        handle.write(json.dumps(entry, sort_keys=True, allow_nan=False).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    atomic.fsync_folder(file.parent)


def _ends_a_line(file: Path) -> bool:
    with open(file, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read() == b"\n"


def read(machine: dict, file: str | Path = FILE) -> list[dict]:
    """Return the lines of runs on `machine`, the oldest first; a line that was cut off is left out."""
    found = []
    for line in Path(file).read_text().splitlines() if Path(file).is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry["machine"] == machine:
            found.append(entry)
    return found


def calibrated(raw: float, lines: list[dict], what: str) -> tuple[float, float, float]:
    """Return (value, low, high): `raw` corrected by its past errors in `lines`, with the 90 % interval for one further run.

    log(actual / raw) is modelled as normal with a conjugate prior (Gelman et al., Bayesian Data Analysis, 3.3). With few lines the interval
    is wide; with many it has the machine's own spread. The `raw` of a line covers only the steps that its run made.
    """
    spread, worth = PRIOR[what]
    errors = [math.log(line["actual"][what] / line["raw"][what]) for line in lines[-50:]]
    count = len(errors)
    mean = sum(errors) / (count + 1)  # the prior has mean 0 and counts as one run
    squares = sum((error - mean) ** 2 for error in errors) + mean**2
    variance = (worth * spread**2 + squares) / (worth + count)
    half = student(worth + count) * math.sqrt(variance * (1 + 1 / (count + 1)))
    return raw * math.exp(mean), raw * math.exp(mean - half), raw * math.exp(mean + half)


def student(freedom: float, level: float = LEVEL) -> float:
    """Return the two-sided quantile of Student's t by the expansion of Cornish and Fisher (1960); within 1 % from 4 degrees of freedom."""
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def least(lines: list[dict], name: str, otherwise: float) -> float:
    """Return the least `name` of the runs in `lines`, `otherwise` without runs. The least, as a trial of select adds its process's past."""
    return min([line["actual"][name] for line in lines[-50:]], default=otherwise)
