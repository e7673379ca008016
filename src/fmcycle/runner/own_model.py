"""Lets a stage start at weights that are there, instead of a model that the pipeline would have to train first."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fmcycle.artifact import external
from fmcycle.config import groups, model_path
from fmcycle.config.compose import Composed, compose
from fmcycle.config.grammar import flatten
from fmcycle.config.model_path import CONVERT
from fmcycle.config.paths import STAGE, is_path
from fmcycle.errors import InputError
from fmcycle.processor.pretrained import SENTENCES
from fmcycle.runner.inputs import in_pipeline, upstream
from fmcycle.runner.own_table import COLUMNS

FIRST = "stage:pretrain/model"  # what the pipeline starts from
MODELS = ("model", "reference", "unaligned", "aligned", "finetuned", "vision", "language")  # inputs that are models
BASE = "base"  # the input that says what an adapter in another input was trained on


def at_weights(below: Composed, perform: Callable[..., Path]) -> Composed:
    """Return `below` with each input that is a model of another form (a GGUF file, an adapter) as the folder that convert makes of it.

    A stage whose model has weights starts at these, unless the pipeline has them. A model folder is read where it lies, and looked at
    before anything is made. perform: runs a composed stage. Raises InputError for a model that can't be read.
    """
    node, found = below.section.get("model") or {}, dict[str, str | None]()
    places: dict[str, str] = {}
    for name, value in below.inputs.items():
        if value is None or name in (*COLUMNS, BASE):
            continue
        place = _own(below, value) or value
        form = external.form(Path(place)) if is_path(place) else None
        if _is_model(below.stage, name) and is_path(place) and not form:
            raise InputError(f"inputs.{name}: {place} is no model{model_path.instead(Path(place))}")
        if place not in places and (place == CONVERT or form in ("gguf", "adapter")):
            stage = upstream(CONVERT.partition("/")[0], below) if place == CONVERT else _converting(place, below)
            places[place] = str(perform(stage, needed_by=below.stage) / "model")
        elif place not in places and form == "folder":
            places[place] = place
            look_at(Path(place), node if node.get("path") == place else {})
        if (place := places.get(place, place)) != value:
            found[name] = place
    if BASE in below.inputs and BASE not in (groups.content("stage", below.stage).get("inputs") or {}):
        found[BASE] = None
    return replace(below, inputs=below.inputs | found) if found else below


def _is_model(stage: str, name: str) -> bool:
    """True if an input is a model; monitor's reference, for one, is a table."""
    usual = str((groups.content("stage", stage).get("inputs") or {}).get(name))
    return name in MODELS and (not usual.startswith(STAGE) or usual.endswith("/model"))


def in_place(below: Composed) -> Composed:
    """Return `below` with its own model folder as the input that it is; makes nothing."""
    own = {name: _own(below, value) for name, value in below.inputs.items() if value is not None and name not in COLUMNS}
    return replace(below, inputs=below.inputs | {name: place for name, place in own.items() if place and is_path(place)})


def _own(below: Composed, value: str) -> str | None:
    """Return where the weights of the stage's own model lie, or the reference to what convert makes of them; None if the stage does not
    start at them."""
    node = below.section.get("model")
    if not isinstance(node, dict) or not external.has_weights(node) or not (value == CONVERT or _first(below, value)):
        return None
    path = Path(str(node.get("path")))
    return (
        str(node["path"]) if not node.get("package") and external.form(path) == "folder" and not (path / SENTENCES).is_file() else CONVERT
    )


def _first(below: Composed, value: str) -> bool:
    """True if the model `value` of a stage of the pipeline is to be the weights themselves: the stage has rows of one's own, or the
    pipeline does not have these weights."""
    if not value.startswith(STAGE) or not value.endswith("/model"):
        return False
    if any(rows is not None and is_path(rows) for name, rows in below.inputs.items() if name in COLUMNS):
        return True
    return value == FIRST and not in_pipeline(upstream(FIRST.partition("/")[0], below))


def _converting(path: str, below: Composed) -> Composed:
    """Return the stage that makes a model folder of the file or adapter at `path`."""
    node = below.section.get("model") or {}
    base = below.inputs.get(BASE) or (node.get("base") if node.get("path") == path else None)
    given = {"path": path} | ({"base": base} if base else {})
    return compose(["stage=convert", "model=pretrained", *flatten({"model": given}), f"base={below.base}"])


def look_at(place: Path, node: dict) -> None:
    """Raise InputError if the model folder `place` is damaged, holds code, or is not what the config node says of it."""
    from fmcycle.model.prepare import sound
    from fmcycle.model.pretrained import check_architecture
    from fmcycle.model.store import architecture

    external.located(str(place), sha256=node.get("sha256"))
    if node.get("architecture"):
        check_architecture(place, architecture(place).__name__, node["architecture"])
    external.check_licence(place, node.get("licence"))
    sound(place)
