"""A logger for Trackio's local dashboard, which Lightning has none for."""

import contextlib
import io
import os
from dataclasses import dataclass
from functools import cached_property

from lightning.pytorch.loggers.logger import Logger

FOLDER = "runs/trackio"  # of the database, unless TRACKIO_DIR names another


@dataclass(eq=False)
class Trackio(Logger):
    """A run in Trackio's database, with its tags in its config. `run_id`: of an earlier process; its rows are deleted and written anew.

    Trackio writes in the background, so a killed process may have lost its last rows. Raises ModuleNotFoundError without the package.
    """

    project: str = "fmcycle"
    name: str | None = None
    tags: list[str] | None = None
    group: str | None = None
    id: str = ""
    run_id: str | None = None

    rewrites = True  # gets every step of steps.jsonl again if a run resumes

    def __post_init__(self):
        os.environ.setdefault("TRACKIO_DIR", os.path.abspath(FOLDER))
        import trackio

        self.trackio = trackio

    @cached_property
    def experiment(self):
        """The run, made at the first use: only the first process of a training uses it."""
        with contextlib.redirect_stdout(io.StringIO()):  # the yaml says how to show the dashboard
            with contextlib.suppress(ValueError):  # there is no such project yet
                for run in self.trackio.Api().runs(self.project) if self.run_id else ():
                    if run.id == self.run_id:
                        run.delete()
            options = {"name": self.name or self.id, "group": self.group, "config": {"tags": self.tags} if self.tags else None}
            return self.trackio.init(project=self.project, **options, embed=False, auto_log_gpu=False, auto_log_cpu=False)

    @property
    def version(self) -> str:
        """The id that Trackio gave the run."""
        return self.experiment.id

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log the figures of a step."""
        self.experiment.log(metrics, step=step)

    def log_hyperparams(self, params, *args, **kwargs) -> None:
        """Nothing: run.html and run.json have the config."""

    def finalize(self, status: str) -> None:
        """Write what waits in memory."""
        if "experiment" in vars(self):
            with contextlib.redirect_stdout(io.StringIO()):
                self.experiment.finish()
