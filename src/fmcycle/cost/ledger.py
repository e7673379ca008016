"""What runs were said to cost and did cost: runs/ledger.jsonl, a line for each that ended, from which the next prediction learns."""

import json
import math
import os
import statistics
from pathlib import Path

from fmcycle.artifact import atomic

FILE = Path("runs/ledger.jsonl")
LEVEL = 0.9  # of the interval
# spread of log(actual / said) before any run of a machine is known, and how many runs that knowledge is worth
PRIOR = {"seconds": (0.25, 4.0), "peak": (0.07, 4.0)}


def append(entry: dict, file: str | Path = FILE) -> None:
    """Add one line that a kill or a power cut leaves whole or not at all."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "ab") as handle:
        if handle.tell() and not _ends_a_line(file):
            handle.write(b"\n")  # a line that was cut off stays apart
        handle.write(json.dumps(entry, sort_keys=True, allow_nan=False).encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    atomic.fsync_folder(file.parent)


def _ends_a_line(file: Path) -> bool:
    with open(file, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read() == b"\n"


def read(machine: dict, file: str | Path = FILE) -> list[dict]:
    """The lines of runs on `machine`, oldest first; one that was cut off is left out."""
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
    """(value, low, high): `raw` corrected by what it was wrong by in `lines`, with the 90 % interval of one further run.

    The logarithm of actual / raw is taken as normal with a conjugate prior (Gelman et al., Bayesian Data Analysis, 3.3): few lines
    leave the interval wide, many make it what the machine's own spread is. Steps of a run that were not made are not in its line.
    """
    spread, worth = PRIOR[what]
    errors = [math.log(line["actual"][what] / line["raw"][what]) for line in lines[-50:]]
    count = len(errors)
    mean = sum(errors) / (count + 1)  # the prior, right on average, counts as one run
    squares = sum((error - mean) ** 2 for error in errors) + mean**2
    variance = (worth * spread**2 + squares) / (worth + count)
    half = student(worth + count) * math.sqrt(variance * (1 + 1 / (count + 1)))
    return raw * math.exp(mean), raw * math.exp(mean - half), raw * math.exp(mean + half)


def student(freedom: float, level: float = LEVEL) -> float:
    """The two-sided quantile of Student's t, by the expansion of Cornish and Fisher (1960); within 1 % from 4 degrees on."""
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def least(lines: list[dict], name: str, otherwise: float) -> float:
    """The least that the runs of `lines` noted as `name` (a trial of select has its process's past in it), `otherwise` without runs."""
    return min([line["actual"][name] for line in lines[-50:]], default=otherwise)
