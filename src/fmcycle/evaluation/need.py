"""What evaluations need of a model, its processor and their rows: looked at before anything is trained or measured."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fmcycle.config.build import build
from fmcycle.config.paths import EXPERIMENT, MADE, STAGE
from fmcycle.errors import ConfigError, InputError
from fmcycle.processor import components
from fmcycle.processor.chat import render

REFERENCES = tuple(f'"{reference}' for reference in (STAGE, EXPERIMENT, MADE))


def check(nodes: dict[str, dict], model: Callable[[], Any], processor: Any, key: str = "evaluation") -> None:
    """Print which evaluations of `nodes` have no rows, or rows that they can't use.

    model: gives the model, made only if it is asked for; its weights are not read, so it may have shapes only. A node whose inputs are
    still to be made is passed over. An evaluation may have `check(model, processor)`, which returns what to tell, "" for nothing.
    Raises ConfigError with all that the model, the processor or the rows lack.
    """
    model, problems = functools.cache(model), []
    for name, node in nodes.items():
        if not there(node):
            continue
        try:
            evaluation = build(node)
            said = evaluation.check(model(), processor) if hasattr(evaluation, "check") else split_of(node)
        except InputError as error:
            problems.append(f"{key}.{name}: {error}")
            continue
        if said:
            print(f"{key}.{name}: {said}", flush=True)
    if problems:
        raise ConfigError(problems)


def there(node: dict) -> bool:
    """True if a node names no input that is still to be made."""
    return not any(reference in json.dumps(node, default=str) for reference in REFERENCES)


def split_of(node: dict) -> str:
    """Raise InputError if the table that an evaluation reads through `data` has a split, and no row of the one to measure."""
    data, split = node.get("data"), node.get("split", "test")
    file = Path(str((data or {}).get("path") or "")) if isinstance(data, dict) else Path()
    given = file.suffix == ".parquet" and file.is_file() and "split" in pl.read_parquet_schema(file)
    if given and not pl.scan_parquet(file).filter(pl.col("split") == split).head(1).collect().height:
        raise InputError(f"{file} has no rows of the split {split}: {more(split)}")
    return ""


def more(split: str) -> str:
    """Return how a split gets rows."""
    return f"raise split.{split} and run `fmcycle curate` again, or leave the evaluation out, such as by evaluation=[]"


def rows(found: Sequence, file: str, split: str) -> str:
    """Return a line if an evaluation has no rows: it then gives no figures."""
    return "" if len(found) else f"{file} has no rows of the split {split}, so it gives no figures: {more(split)}"


def writes(model: Any) -> None:
    """Raise InputError if `model` does not go on with a text, as a decoder or an encoder-decoder does."""
    if hasattr(model, "can_generate") and not model.can_generate():
        raise InputError(f"a {type(model).__name__} writes no text: choose evaluations that fit it, evaluation=[...]")


def chats(model: Any, processor: Any) -> None:
    """Raise InputError if `model` writes no text, or its processor has no chat template to ask it with."""
    writes(model)
    if not components.chat_template(processor):
        folder = getattr(components.tokenizer_of(processor), "name_or_path", "") or "the model's folder"
        raise InputError(
            f"asks the model in conversations, and {folder} has no chat template: write the one that the model was trained with as "
            "chat_template.jinja there, or choose other evaluations, evaluation=[...]"
        )


def room(model: Any, processor: Any, asked: list[list[dict]]) -> str:
    """Return a line with the prompts that fill the model's positions, and so get no answer. Raises InputError if all of them do."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(positions, int) or getattr(model.config, "is_encoder_decoder", False):
        return ""
    long = sum(len(render(processor, messages, generation_prompt=True)) >= positions for messages in asked)
    line = f"{long} of {len(asked)} prompts fill the model's {positions} positions and get no answer"
    if long and long == len(asked):
        raise InputError(f"{line}: name rows with shorter prompts, or a model with more positions")
    return line if long else ""
