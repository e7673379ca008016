"""fmcycle from Python: compose and run a stage, and ask a model, with the words of the command line; see docs/python.md."""

from dataclasses import dataclass
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.cli import command_line, experiment
from fmcycle.config import compose as config
from fmcycle.config.build import build
from fmcycle.distributed import rank
from fmcycle.errors import ConfigError, InputError
from fmcycle.hardware import threads


@dataclass(frozen=True)
class Result:
    """out: the folder that a stage wrote; metrics: the content of its metrics.json, {} if it has none."""

    out: Path
    metrics: dict[str, float]


def compose(stage: str, *overrides: str) -> config.Composed:
    """Return the checked config of a stage; `section` holds its values.

    overrides: as on the command line, such as "strategy=lora"; local.yaml applies too. Raises ConfigError with every problem.
    """
    flags, expanded = command_line.expand([f"stage={stage}", *overrides])
    if flags:
        raise ConfigError([f"{flags[0]}: is for the command line; `compose` takes group=option and key=value"])
    return config.compose(expanded)


def run(stage: str, *overrides: str) -> Result:
    """Run a stage and the stages that make its missing inputs; results with the same identity are reused.

    Raises InputError before any work if the config or an input is wrong.
    """
    from fmcycle.runner import run as runner

    threads.settle()
    experiment.imports_for_children()
    composed = compose(stage, *overrides)
    with rank.leading():
        out = runner.perform(composed)
    file = out / "metrics.json"
    return Result(out, artifact.read_json(file) if file.is_file() else {})


def ask(model: str | Path, question: str, *, max_tokens: int = 128) -> str:
    """Return the greedy answer of the language model in a folder to a question, in its chat template, on local.yaml's trainer.

    Raises InputError if the folder is damaged or holds another kind of model.
    """
    threads.settle()
    from fmcycle.engine.fit import engine_of
    from fmcycle.evaluation.generate import answers
    from fmcycle.model.store import load_model
    from fmcycle.runner.run import _quiet

    _quiet()
    artifact.verify(model)
    architecture, engine = engine_of(model)
    if engine != "transformers":
        raise InputError(f"{model} is a {architecture}, not a language model; `fmcycle evaluate_on` shows what it does")
    machine = build(compose("evaluate", f"inputs.model={model}").machine["trainer"])
    loaded, processor = load_model(model, machine.device, machine.dtype)
    (answer,) = answers(loaded, processor, [[{"role": "user", "content": question}]], max_new_tokens=max_tokens)
    return answer.text.strip()
