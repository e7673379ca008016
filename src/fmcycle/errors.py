"""The exceptions of fmcycle; `cli/main.py` turns each into one message and its exit code."""

import difflib


class InputError(ValueError):
    """A wrong or missing input, seen before any work: exit code 2."""

    exit_code = 2

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(InputError):
    """Every problem that the config check found, one line each: exit code 2."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class Missing(InputError):
    """An input is missing or out of date, and base=require forbids making it: exit code 2."""


class TrainingError(RuntimeError):
    """Training failed and needs a change by the user; earlier checkpoints are intact: exit code 1, one message."""

    exit_code = 1


class DiskFull(OSError):
    """A file could not be written because the disk is full: exit code 1, one message."""

    exit_code = 1


class JobError(RuntimeError):
    """A job that a launcher started elsewhere failed with `exit_code`; its log has the message."""

    def __init__(self, exit_code: int, where: str):
        super().__init__(exit_code, where)  # both arguments: the error is pickled on its way back
        self.exit_code, self.where = exit_code, where

    def __str__(self) -> str:
        return f"a job ended with exit code {self.exit_code}; its message is in its log below {self.where}"


class GateError(RuntimeError):
    """A gate refused a package: exit code 3."""

    exit_code = 3


class Interrupted(RuntimeError):
    """Stopped by a signal with a checkpoint on disk; the same command resumes: exit code 75."""

    exit_code = 75


class Refused(Exception):
    """A guardrail refuses a text; `reason` is what the caller may be told."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def suggest(name: str, names) -> str:
    """Return `; did you mean X?`, else a list of `names`."""
    names = sorted(map(str, names))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there is {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}" if names else ""
