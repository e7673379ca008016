"""Records a run in runs/: run.json at its start, state and result at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmcycle.artifact import provenance
from fmcycle.config import code_digest
from fmcycle.config.compose import Composed, compose
from fmcycle.config.grammar import flatten
from fmcycle.config.groups import MACHINE
from fmcycle.errors import Interrupted
from fmcycle.tracking import run_page, run_record


@contextmanager
def traced(composed: Composed, identity: str, code: str, inputs: dict, out: Path, runs: Path) -> Iterator[dict]:
    """Write run.json now; at the end add the contents of the yielded dict, or the error that ended the run.

    A killed run stays `running` in the file; `fmcycle runs` recognizes it because nobody holds its lock.
    """
    facts = {"stage": composed.stage, "identity": identity, "section": composed.section, "code": code, "inputs": inputs}
    facts |= {
        "files": code_digest.files(composed.section),
        "revision": provenance.revision(),
        "out": str(out),
        "differs": differs(composed),
    }
    run_record.begin(runs, facts)
    done: dict = {}
    try:
        yield done
    except BaseException as error:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        _close(runs, state="interrupted" if stopped else "failed", error=str(error) or type(error).__name__)
        raise
    _close(runs, state="done", **done)


def _close(runs: Path, **facts) -> None:
    run_record.note(runs, **facts)
    if (runs / run_record.STEPS).is_file():
        run_page.write(runs)


def differs(composed: Composed) -> dict[str, str]:
    """Return {group or key: choice or value} that differ from the stage's yaml, without the keys that another choice of a group brings."""
    default = compose([f"stage={composed.stage}"])
    chosen = {group: option for group, option in composed.choices.items() if option and option != default.choices.get(group)}
    chosen = {group: option for group, option in chosen.items() if group not in MACHINE}
    below = tuple(f"{group.partition('@')[2] or group}." for group in chosen)
    same = set(flatten(_told(default.written, default.section)))
    keys = [text for text in flatten(_told(composed.written, composed.section)) if text not in same and not text.startswith(below)]
    return chosen | dict(text.split("=", 1) for text in keys)


def _told(written: Any, section: Any) -> Any:
    """Return `written` with each "${trainer...}" replaced by its value in `section`, which has no trainer."""
    if isinstance(written, dict):
        return {name: _told(value, section[name]) for name, value in written.items()}
    return section if isinstance(written, str) and "trainer." in written else written
