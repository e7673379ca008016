"""The loggers of conf/logger: every step reaches each of them once, also when the run was killed in between."""

import inspect
import shutil
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from fmcycle.config import build
from fmcycle.errors import InputError
from fmcycle.tracking import run_record


def made(nodes: dict, folder: str | Path) -> list:
    """The Lightning loggers that `nodes` names, {name: node}. Raises InputError where the package of one is not installed.

    `save_dir` is the run's folder; `id` is the run's name where a logger takes one and its node gives none, so that a resumed run goes
    on in the same run of a service.
    """
    folder, loggers = Path(folder), []
    own = {"save_dir": str(folder), "id": "-".join(folder.parts[-2:])}
    for name, node in nodes.items():
        if "save_dir" in node:
            raise InputError(f"logger.{name}.save_dir: a run's files lie in its own folder, {folder}; take it out")
        takes = inspect.signature(build.resolve(node["_target_"])).parameters
        try:
            loggers.append(build.build(node, **{key: value for key, value in own.items() if key in takes and key not in node}))
        except ModuleNotFoundError as error:
            first = str(error).splitlines()[0]
            raise InputError(f"logger.{name}: {first} Install it into this environment, or choose another logger=") from error
    for logger in loggers:
        if (old := place(logger, folder)) and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            shutil.rmtree(old, ignore_errors=True)  # before Lightning opens its files
    return loggers


def place(logger, folder: str | Path) -> Path | None:
    """The folder of a logger that writes files below `folder`; None for a service."""
    found, folder = Path(logger.log_dir or folder).resolve(), Path(folder).resolve()
    return found if found != folder and found.is_relative_to(folder) else None


class Log:
    """`loggers` of one run that goes on. Files below its folder are made anew from steps.jsonl; a service, which can't take back what
    it has, is told only what no earlier process of the run had written there (`reached`, a record.order)."""

    def __init__(self, loggers: Sequence, folder: str | Path, reached: tuple[int, bool]):
        self.services: list = []
        self.files: list = []
        self.reached = reached
        self.row: dict = {}  # of the newest step: files get it with its validation
        for logger in loggers:
            (self.files if place(logger, folder) else self.services).append(logger)
        if self.files:
            for row in run_record.rows(folder):
                self._file(row)

    def add(self, row: dict) -> None:
        """Figures of a step or of its validation, {"step": n, name: value}."""
        self._file(row)
        if run_record.order(row) > self.reached:
            _tell(self.services, row)

    def close(self) -> None:
        """No more steps."""
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
