"""Models whose weights others made: a folder of transformers, a GGUF file, an adapter and its base, one of our artifacts."""

from pathlib import Path
from typing import Any

from fmcycle.artifact import external
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model import adapter, gguf
from fmcycle.model import store as model_store
from fmcycle.ranges import ExistingPath

ADAPTER = "adapter_config.json"


def pretrained(
    path: ExistingPath,
    architecture: str,
    licence: str = external.NONE_SAID,
    package: dict | None = None,
    sha256: str | None = None,
    base: ExistingPath | None = None,
) -> Any:
    """The model in `path`, fp32: of the class `architecture` of transformers, every weight from there and none left over.

    path: a folder of transformers with safetensors (what we write is one), a GGUF file, or the folder of a peft adapter, whose base
    is the folder `base`; with `package` {"name", "version", "sha256"}, a member of that wheel. sha256: of the file, or the folder's
    content digest. licence: an SPDX name; permitted by the stage's licence.Policy, and the one that the file states where it does.
    Under `torch.device("meta")` it has shapes only. Raises InputError for anything else than what was asked for; nothing is unpickled.
    """
    place = external.located(path, package, sha256)
    if (place / ADAPTER).is_file():
        return merged(place, architecture, licence, base)
    said = gguf.licence(place) if place.is_file() else external.card_licence(place)
    external.check_licence(place, licence, said)
    if place.is_file():
        return gguf.load(place, architecture)
    check_architecture(place, model_store.architecture(place).__name__, architecture)
    return model_store.load_weights(place)


def check_architecture(place: Path, found: str, architecture: str) -> None:
    """Raises InputError where the weights are another architecture's."""
    if found != architecture:
        raise InputError(f"{place} is a {found}, model.architecture is {architecture}: correct it, or choose the weights that you meant")


def merged(place: Path, architecture: str, licence: str, base: str | None) -> Any:
    """The adapter in `place` added to the weights of its base: a plain model."""
    import torch

    base = base or artifact.read_json(place / ADAPTER).get("base_model_name_or_path")
    if not base or not Path(base).is_dir():
        raise InputError(f"{place} is an adapter: name the folder of the model that it was trained on, model.base=FOLDER")
    model = pretrained(base, architecture, licence)
    if torch.empty(0).is_meta:
        return model
    adapted = adapter.load(model, place).eval()
    return adapter.merge(adapted)
