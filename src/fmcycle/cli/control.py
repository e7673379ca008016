"""`fmcycle control STAGE`: train the stage once more on rows that teach nothing but form, and compare the two models."""

import io
from pathlib import Path

from fmcycle.artifact import atomic, digest_cache, provenance
from fmcycle.artifact import folder as artifact
from fmcycle.cli import command_line, experiment, verbs
from fmcycle.config.compose import compose
from fmcycle.errors import ConfigError, InputError

# stage: (table, what its control does to the training rows, evaluation, metric)
CONTROLS = {
    "finetune": ("instructions", "answers shuffled among the rows of a task", "instruction", "rouge_l"),
    "align": ("preferences", "chosen and rejected answers exchanged", "preference", "preference_accuracy"),
}
FOLDER = Path("runs/control")
UNREAD = ("documents", "instructions", "preferences", "prompts")  # inputs of evaluate that a comparison may leave out


def main(arguments: list[str]) -> int:
    """Run the stage and its control, with the same config, budget and seed; return 0 if the real rows taught more than form, else 3."""
    given = verbs.parse("control", arguments)
    table, change, evaluation, metric = CONTROLS[given.stage]
    flags, overrides = command_line.expand([f"stage={given.stage}", *given.overrides])
    if wrong := [*flags, *(text for text in overrides if text.startswith("out="))]:
        raise ConfigError([f"{wrong[0]}: `control` runs the stage twice and chooses both folders; leave it out"])
    real = run(overrides)
    rows = inputs_of(real)[table]
    twin = run([*without(overrides, f"inputs.{table}"), f"inputs.{table}={changed(rows, table)}"])
    words = [
        f"stage=evaluate evaluation=[{evaluation}] sample=null contamination=null inputs.model={real}/model inputs.reference={twin}/model"
    ]
    words += [f"inputs.{name}={rows if name == table else 'null'}" for name in UNREAD]
    compared = run(" ".join(words).split())
    print(f"{given.stage}: {real}\ncontrol, {change}: {twin}\nboth on the same held-out rows: {compared}/report.html")
    verdict, proven = said(artifact.read_json(compared / "metrics.json"), metric)
    print(verdict)
    return 0 if proven else 3


def run(overrides: list[str]) -> Path:
    """Run a stage and the stages that make its missing inputs; return its folder."""
    from fmcycle.runner import run as runner

    experiment.imports_for_children()
    return runner.perform(compose(overrides))


def inputs_of(out: Path) -> dict[str, str]:
    """Return {input: path} of the run that wrote `out`."""
    return {name: each["path"] for name, each in artifact.read_json(provenance.provenance_file(out))["inputs"].items()}


def without(overrides: list[str], key: str) -> list[str]:
    """Return the overrides without those of `key`."""
    return [text for text in overrides if text.lstrip("+").partition("=")[0] != key]


def changed(path: str, table: str) -> Path:
    """Return a copy of a table whose training rows are changed; the other splits are the same. Raises InputError if none can change."""
    import polars as pl

    from fmcycle.evaluation import control

    frame = pl.read_parquet(path)
    new = (control.shuffled if table == "instructions" else control.exchanged)(frame)
    if new.equals(frame):
        raise InputError(f"{path}: no training row can be changed for a control; it needs two rows of one task with different answers")
    file = FOLDER / digest_cache.sha256(Path(path))[:16] / f"{table}.parquet"
    buffer = io.BytesIO()
    new.write_parquet(buffer)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(file, buffer.getvalue())
    return file


def said(metrics: dict[str, float], metric: str) -> tuple[str, bool]:
    """Return (the verdict in a sentence, True if the model is better than its control for sure)."""
    gain, low, high, n = (metrics.get(f"{metric}_gain{end}") for end in ("", "/low", "/high", "/n"))
    if gain is None or low is None or high is None:
        return f"learned more than form: not measured, {metrics.get(f'{metric}/n', 0)} held-out rows", False
    figures = f"{metric} {metrics[metric]:.3f}, {gain:+.3f} [{low:+.3f}, {high:+.3f}] over the control on {n} held-out rows"
    if low > 0:
        return f"learned more than form: yes; {figures}", True
    return f"learned more than form: {'no' if high <= 0 else 'not proven'}; {figures}", False
