"""The record of a run for people: run.json, steps.jsonl, samples.jsonl. No stage reads it to compute a result."""

import fcntl
import json
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fmcycle.artifact import atomic

RUN, STEPS, SAMPLES = "run.json", "steps.jsonl", "samples.jsonl"


def begin(folder: str | Path, facts: dict) -> None:
    """Write run.json: `facts` (stage, identity, section ...), state running, and this start after those of an unfinished run."""
    before = read(folder)
    starts = before.get("starts", []) if before.get("state") != "done" else []
    atomic.write_json(Path(folder) / RUN, facts | {"state": "running", "starts": [*starts, {"at": now()}]})


def note(folder: str | Path, **facts) -> None:
    """Add `facts` to run.json if it exists; `from_step` goes to the last start."""
    if entry := read(folder):
        if "from_step" in facts:
            entry["starts"][-1]["from_step"] = facts.pop("from_step")
        atomic.write_json(Path(folder) / RUN, entry | facts)


def read(folder: str | Path) -> dict:
    """Return run.json as a dict; {} if it is missing or unreadable."""
    try:
        return json.loads((Path(folder) / RUN).read_text())
    except (OSError, ValueError):
        return {}


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def alive(folder: str | Path) -> bool:
    """True if a process holds the lock of this run (`atomic.lock`)."""
    try:
        with open(Path(folder).with_name(f".{Path(folder).name}.lock")) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def lines(file: Path) -> Iterator[dict]:
    """Yield the rows of a JSONL file, except one that a kill truncated."""
    if not file.is_file():
        return
    with open(file) as handle:
        for line in handle:
            try:
                yield json.loads(line)
            except ValueError:
                continue


class Thin:
    """A curve of at most `most` points: beyond that it averages neighbours."""

    def __init__(self, most: int = 600):
        self.most, self.width = most, 1
        self.bins: dict[int, tuple[float, int]] = {}

    def add(self, step: int, value: float) -> None:
        """Add a value; ignore it if it is not finite."""
        if not math.isfinite(value):
            return
        self._put(step // self.width, value, 1)
        if len(self.bins) > self.most:
            bins, self.bins, self.width = self.bins, {}, self.width * 2
            for key, (total, count) in bins.items():
                self._put(key // 2, total, count)

    def points(self) -> tuple[list[float], list[float]]:
        """Return (steps, values)."""
        middle = (self.width - 1) / 2
        return [key * self.width + middle for key in self.bins], [total / count for total, count in self.bins.values()]

    def _put(self, key: int, total: float, count: int) -> None:
        old = self.bins.get(key, (0.0, 0))
        self.bins[key] = (old[0] + total, old[1] + count)


def rows(folder: str | Path) -> Iterator[dict]:
    """Yield {"step": n, figure: value} of every step of steps.jsonl, merged with its validation."""
    row: dict = {}
    for part in lines(Path(folder) / STEPS):
        if row and part["step"] != row["step"]:
            yield row
            row = {}
        row |= part
    if row:
        yield row


def order(row: dict) -> tuple[int, bool]:
    """Return the sort key of a line of steps.jsonl: a step comes before its validation."""
    return row["step"], any(name.startswith("validation_") for name in row)


class Steps:
    """steps.jsonl, a line for each step and for each validation, and their curves.

    Opening it at `step`, that of the last checkpoint, deletes later lines. `step` None: read only.
    `reached`: the `order` of the last line that an earlier process wrote.
    """

    def __init__(self, folder: str | Path, step: int | None = None):
        self.file = Path(folder) / STEPS
        self.curves: dict[str, Thin] = {}
        self.last: dict = {}
        self.reached = (0, False)
        kept = []
        for row in lines(self.file):
            self.reached = order(row)
            if step is None or row["step"] <= step:
                self._take(row)
                if step is not None:
                    kept.append(json.dumps(row))
        if step is not None:
            atomic.write_text(self.file, "".join(f"{line}\n" for line in kept))
            cut(Path(folder) / SAMPLES, step)
            self.handle = open(self.file, "a", buffering=1)  # noqa: SIM115 (open until `close`)

    def add(self, row: dict) -> None:
        """Append a line, which survives a kill of this process."""
        self._take(row)
        self.handle.write(json.dumps(row) + "\n")

    def keep(self) -> None:
        """Sync to disk, so that the lines survive a power cut."""
        os.fsync(self.handle.fileno())

    def close(self) -> None:
        """Close the file."""
        self.handle.close()

    def _take(self, row: dict) -> None:
        self.last |= row
        for name, value in row.items():
            if name != "step" and value is not None:
                self.curves.setdefault(name, Thin()).add(row["step"], value)


def cut(file: Path, step: int) -> None:
    """Delete the rows after `step` from a JSONL file."""
    if file.is_file():
        atomic.write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in lines(file) if row["step"] <= step))
