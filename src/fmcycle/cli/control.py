"""`fmcycle control STAGE`: train the stage once more on rows that teach nothing but form, and compare the two models."""

import io
from pathlib import Path

from fmcycle.artifact import atomic, digest_cache, provenance
from fmcycle.artifact import folder as artifact
from fmcycle.cli import experiment, verbs
from fmcycle.cli.model_folder import composed
from fmcycle.distributed import rank
from fmcycle.errors import ConfigError, InputError
from fmcycle.statistics.interval import FEWEST

# stage: (table, what its control does to the training rows, evaluation, metric)
CONTROLS = {
    "finetune": ("instructions", "answers shuffled among the rows of a task", "instruction", "rouge_l"),
    "align": ("preferences", "chosen and rejected answers exchanged", "preference", "preference_accuracy"),
}
FOLDER = Path("runs/control")


def main(arguments: list[str]) -> int:
    """Run the stage and its control, with the same config, budget and seed; return 0 if the real rows taught more than form, else 3."""
    from fmcycle.runner.run import perform

    given = verbs.parse("control", arguments)
    table, change, evaluation, metric = CONTROLS[given.stage]
    if own := [text for text in given.overrides if text.startswith("out=")]:
        raise ConfigError([f"{own[0]}: `control` runs the stage twice and chooses both folders; leave it out"])
    experiment.imports_for_children()
    with rank.leading():
        real = perform(composed(given.stage, *given.overrides))
        rows = inputs_of(real)[table]
        others = [text for text in given.overrides if not text.lstrip("+").startswith((f"inputs.{table}=", "data=hub:"))]
        twin = perform(composed(given.stage, *others, f"inputs.{table}={changed(rows, table)}"))
        words = [f"inputs.{table}={rows}", f"inputs.model={real}/model"]
        words += [f"inputs.{each}={twin}/model" for each in ("reference", "unaligned")]
        compared = perform(composed("evaluate_on", f"evaluation=[{evaluation}]", *words))
    print(f"{given.stage}: {real}\ncontrol, {change}: {twin}\nboth on the same held-out rows: {compared}/report.html")
    verdict, proven = said(artifact.read_json(compared / "metrics.json"), metric)
    print(verdict)
    return 0 if proven else 3


def inputs_of(out: Path) -> dict[str, str]:
    """Return {input: path} of the run that wrote `out`."""
    return {name: each["path"] for name, each in artifact.read_json(provenance.provenance_file(out))["inputs"].items()}


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
    if gain is None or low is None or high is None or n is None:
        return f"learned more than form: not measured, {metrics.get(f'{metric}/n', 0)} held-out rows", False
    figures = f"{metric} {metrics[metric]:.3f}, {gain:+.3f} [{low:+.3f}, {high:+.3f}] over the control on {n} held-out rows"
    if n < FEWEST:
        return f"learned more than form: not proven, {FEWEST} held-out rows are the fewest that can prove it; {figures}", False
    if low > 0:
        return f"learned more than form: yes; {figures}", True
    return f"learned more than form: {'no' if high <= 0 else 'not proven'}; {figures}", False
