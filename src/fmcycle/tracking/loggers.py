"""Feeds the loggers of conf/logger: each gets every step once, even if the run was killed and resumed."""

import inspect
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from fmcycle.artifact import atomic
from fmcycle.config import build
from fmcycle.errors import InputError
from fmcycle.tracking import run_record

RUNS = "logger_runs.json"  # {logger: the run that a service made for this one}


def made(nodes: dict, folder: str | Path) -> list:
    """Return the Lightning loggers of `nodes`, {name: node}. Raises InputError if the package of one is not installed.

    `save_dir` is the run's folder. So that a resumed run continues the same run of a service, a logger that takes an `id` gets the run's
    name, and one that takes a `run_id` gets the one that the service gave at the first start; RUNS in the folder keeps it.
    """
    folder, loggers = Path(folder), []
    known = json.loads((folder / RUNS).read_text()) if (folder / RUNS).is_file() else {}
    own = {"save_dir": str(folder), "id": "-".join(folder.parts[-2:])}
    for name, node in nodes.items():
        if "save_dir" in node:
            raise InputError(f"logger.{name}.save_dir: a run logs into its own folder, {folder}; remove the key")
        takes = inspect.signature(build.resolve(node["_target_"])).parameters
        try:
            ours = own | ({"run_id": known[name]} if name in known else {})
            loggers.append(build.build(node, **{key: value for key, value in ours.items() if key in takes and not node.get(key)}))
        except ModuleNotFoundError as error:
            first = str(error).splitlines()[0]
            raise InputError(f"logger.{name}: {first} Install it into this environment, or choose another logger=") from error
        leads = "run_id" in takes and rank_zero_only.rank == 0  # type: ignore[attr-defined]
        if leads and known.get(name) != (own_id := loggers[-1].version):
            known[name] = own_id
            atomic.write_json(folder / RUNS, known)
    for logger in loggers:
        if (old := place(logger, folder)) and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            shutil.rmtree(old, ignore_errors=True)  # before Lightning opens its files
    return loggers


def place(logger, folder: str | Path) -> Path | None:
    """Return the folder of a logger that writes files below `folder`, as W&B offline does; None for a service."""
    own = Path(folder) / "wandb" if getattr(logger, "_offline", False) else logger.log_dir
    found, folder = Path(own or folder).resolve(), Path(folder).resolve()
    return found if found != folder and found.is_relative_to(folder) else None


class Log:
    """The loggers of one process of a run. Files below its folder, and loggers that say `rewrites`, are written anew from steps.jsonl; a
    service, which can't delete figures, gets only those after `reached`, the `run_record.order` that an earlier process got to."""

    def __init__(self, loggers: Sequence, folder: str | Path, reached: tuple[int, bool]):
        self.services: list = []
        self.files: list = []
        self.reached = reached
        self.row: dict = {}  # the newest step; written to files together with its validation
        for logger in loggers:
            (self.files if getattr(logger, "rewrites", False) or place(logger, folder) else self.services).append(logger)
        if self.files:
            for row in run_record.rows(folder):
                self._file(row)

    def add(self, row: dict) -> None:
        """Log the figures of a step or of its validation, {"step": n, name: value}."""
        self._file(row)
        if run_record.order(row) > self.reached:
            _tell(self.services, row)

    def close(self) -> None:
        """Write the last step and save the files."""
        self._file({"step": -1})
        for logger in self.files:
            logger.save()

    def _file(self, row: dict) -> None:
        if self.row and row["step"] != self.row["step"]:
            _tell(self.files, self.row)
            self.row = {}
        self.row |= row


def _tell(loggers: list, row: dict) -> None:
    figures = {name: value for name, value in row.items() if name != "step" and value is not None}
    for logger in loggers:
        logger.log_metrics(figures, step=row["step"])
