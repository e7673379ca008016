"""Names the stopped run that a new run of the same stage differs from in only a few settings."""

from pathlib import Path

import yaml

MOST = 4  # settings in which the two runs may differ
MOVES = ("optimizer.", "budget.", "objective.", "data.", "evaluation.", "inputs.instructions", "inputs.preferences")  # not what is moved
BESIDE = ("out", "runs", "trainer", "logger", "price", "limit", "minutes")  # keys that don't decide what a run learns


def beside(config: dict, runs: Path) -> str | None:
    """Return one line about the run with a checkpoint that `config` differs from the least; None if `runs` has a checkpoint itself.

    config: that of the new run; runs: its folder, whose siblings are the other runs of the stage.
    """
    if any(runs.glob("step-*")):
        return None
    own, found = settings(config), []
    for folder in sorted({step.parent for step in runs.parent.glob("*/step-*")} - {runs}):
        file = folder / "config.yaml"
        other = settings(yaml.safe_load(file.read_text())) if file.is_file() else {}
        changed = sorted(key for key in own.keys() | other.keys() if own.get(key) != other.get(key))
        if other and len(changed) <= MOST:
            found.append((len(changed), folder, other, changed))
    if not found:
        return None
    _, folder, other, changed = min(found, key=lambda each: each[0])
    step = int(max(folder.glob("step-*")).name.removeprefix("step-"))
    then, now = (", ".join(f"{key}={values.get(key)}" for key in changed) for values in (other, own))
    if not changed:
        return f"{folder} stopped at step {step} with the same settings but other code or inputs; this run begins at step 0"
    begin = f"; init_from={folder} begins from its step {step}" if all(key.startswith(MOVES) for key in changed) else ""
    return f"{folder} stopped at step {step} with {then}; this run, with {now}, begins at step 0; {then} goes on from there{begin}"


def settings(node, key: str = "") -> dict:
    """Return {dotted key: value} of a config, without the keys BESIDE."""
    if not isinstance(node, dict) or not node:
        return {key: node}
    parts = [settings(value, f"{key}.{name}" if key else str(name)) for name, value in node.items() if key or name not in BESIDE]
    return {name: value for part in parts for name, value in part.items()}
