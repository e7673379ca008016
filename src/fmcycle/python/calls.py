"""fmcycle from Python: compose and run a stage, load a model, evaluate it and ask it; see docs/python.md."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fmcycle.artifact import folder as artifact
from fmcycle.cli import command_line, experiment
from fmcycle.cli.evaluate import on
from fmcycle.cli.model_folder import folder_of
from fmcycle.config import compose as config
from fmcycle.config.build import build
from fmcycle.config.grammar import flatten
from fmcycle.config.machine import trains
from fmcycle.distributed import rank
from fmcycle.errors import ConfigError, InputError
from fmcycle.hardware import threads
from fmcycle.python.result import Result


class Loaded(NamedTuple):
    """A model of transformers or diffusers, on the device of local.yaml's trainer, and its processor."""

    model: Any
    processor: Any


def compose(*words: str, **keys) -> config.Composed:
    """Return the checked config of a stage, finetune unless the first word or `stage=` names another; `section` holds its values.

    words: as on the command line, such as "strategy=lora" or "optimizer.lr=3e-4". keys: the same as values, nested keys as a dict:
    strategy="lora", optimizer={"lr": 3e-4}. local.yaml applies too. Raises ConfigError with every problem.
    """
    first = [f"stage={text}" if "=" not in text and not number and text[:1] not in "-~" else text for number, text in enumerate(words)]
    flags, expanded = command_line.expand([*first, *flatten(_plain(keys))])
    if flags:
        raise ConfigError([f"{flags[0]}: is for the command line; from Python there are group=option and key=value"])
    return config.compose(expanded)


def _plain(value: Any) -> Any:
    """Return `value` with every path in it as text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, list | tuple) else str(value) if isinstance(value, Path) else value


def run(*words: str, **keys) -> Result:
    """Run a stage and the stages that make its missing inputs; results with the same identity are reused. words, keys: as `compose`.

    Raises InputError before any work if the config or an input is wrong.
    """
    return _performed(compose(*words, **keys))


def train(*words: str, **keys) -> Result:
    """Run a stage that trains, finetune unless another is named; see `run`. Raises ConfigError for a stage that trains nothing."""
    composed = compose(*words, **keys)
    if not trains(composed.section):
        raise ConfigError([f"stage={composed.stage}: trains no model; `fmcycle.run` runs any stage"])
    return _performed(composed)


def _ready() -> None:
    """Settle the threads and silence the libraries, before the first of them is imported."""
    from fmcycle.runner.run import quiet

    threads.settle()
    quiet()
    warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm's, in a notebook without widgets


def _performed(composed: config.Composed) -> Result:
    _ready()
    from fmcycle.runner import run as runner

    experiment.imports_for_children()
    with rank.leading():
        return Result.of(runner.perform(composed))


def evaluate(model: str | Path, data: str | Path | None = None, *words: str, **keys) -> Result:
    """Evaluate a model folder on the rows of `data`, whatever their form; without `data`, on the project's held-out rows.

    `.answers` of the result are the answers beside their references. words, keys: as `run`. Raises InputError if no evaluation fits.
    """
    if data is None:
        return run("evaluate", f"model={model}", *words, **keys)
    _ready()
    return Result.of(on(model, data, *words, *flatten(_plain(keys))))


def load(folder: str | Path) -> Loaded:
    """Return (model, processor) of a model folder, a GGUF file or an adapter. Raises InputError if it is damaged."""
    _ready()
    from fmcycle.model.store import load_model

    folder = folder_of(folder)
    artifact.verify(folder)
    machine = build(compose("evaluate").machine["trainer"])
    return Loaded(*load_model(folder, machine.device, machine.dtype))


def ask(model: str | Path | Loaded, question: str | Sequence[dict], *, max_tokens: int = 128) -> str:
    """Return the greedy answer of a language model to a question or a list of messages, in its chat template.

    model: a folder, or what `load` returned. Raises InputError if the folder is damaged or holds another kind of model.
    """
    from fmcycle.engine.fit import engine_of
    from fmcycle.evaluation.generate import answers

    if not isinstance(model, tuple):
        model = folder_of(model)
        architecture, engine = engine_of(model)
        if engine != "transformers":
            raise InputError(f"{model} is a {architecture}, not a language model; `fmcycle evaluate_on` shows what it does")
        model = load(model)
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else list(question)
    (answer,) = answers(*model, [messages], max_new_tokens=max_tokens)
    return answer.text.strip()
