"""Copies trained weights into a new model: a body under a new head, or the parts of a vision-language model."""

from pathlib import Path

from fmcycle.errors import InputError
from fmcycle.model import store as model_store

PARTS = {  # of a vision-language model: {prefix of its weights: prefix in the model that the part comes from}
    "vision": {"model.vision_tower.": "vision_model."},
    "language": {"model.language_model.": "model.", "lm_head.": "lm_head."},
}
HEADS = ("pooler",)  # parts of the body that stay new: pretraining does not train them, or for another task


def architecture(folder: str | Path) -> str | None:
    """Return the transformers class name of the model in `folder`, None without config.json. Raises InputError for a damaged config."""
    file = Path(folder) / "config.json"
    return model_store.architecture(folder).__name__ if file.is_file() else None


def same(folder: str | Path, node: dict) -> bool:
    """True if the model in `folder` has the class of the config node, or if one of them names none."""
    wanted = node["architecture"] if "architecture" in node else node["_target_"].rpartition(".")[2]
    return wanted is None or architecture(folder) in (None, wanted)


def on_body(fresh, folder: str | Path):
    """Return the new model `fresh` with the body of the model in `folder`, of the same family but for another task.

    Raises InputError if a weight of the body is missing there, or has another shape.
    """
    prefix = f"{fresh.base_model_prefix}."
    given = model_store.load_model(folder)[0].state_dict()
    own = fresh.state_dict()
    body = [name for name in own if name.startswith(prefix) and not name.startswith(tuple(f"{prefix}{head}" for head in HEADS))]
    wrong = [name for name in body if name not in given or given[name].shape != own[name].shape]
    if wrong or not body:
        found = f"{wrong[0]} is missing there or has another shape" if wrong else f"it has nothing below {prefix}"
        raise InputError(
            f"{folder} has no body for a {type(fresh).__name__} of these sizes: {found}; take the model=... whose sizes it was trained with"
        )
    own |= {name: given[name] for name in body}
    fresh.load_state_dict(own)
    print(
        f"the body of {folder}: {len(body)} weights; new: {', '.join(sorted({n.split('.')[0] for n in own if n not in body}))}", flush=True
    )
    return fresh


def with_parts(fresh, folders: dict[str, str | Path]):
    """Return the new vision-language model `fresh` with the image encoder of the model in folders["vision"] (a CLIP) and the language
    model in folders["language"]; one of them may be left out.

    Tokens that the language model lacks, such as the image token, keep their new rows. Raises InputError if a weight of a part is
    missing there or has another shape, or if `fresh` has no such part.
    """
    own = fresh.state_dict()
    for part, folder in folders.items():
        given = model_store.load_model(folder)[0].state_dict()
        there = {mine: f"{its}{mine[len(place) :]}" for place, its in PARTS[part].items() for mine in own if mine.startswith(place)}
        wrong = [mine for mine, its in there.items() if its not in given or not fits(own[mine], given[its], part)]
        if wrong or not there:
            found = f"{there[wrong[0]]} is missing there or has another shape" if wrong else f"a {type(fresh).__name__} has no such part"
            raise InputError(f"inputs.{part}: {folder} is no {part} part for this model: {found}; give model=... the sizes of that one")
        for mine, its in there.items():
            own[mine][: len(given[its])] = given[its]
        print(f"the {part} part from {folder}: {len(there)} weights", flush=True)
    return fresh


def fits(own, given, part: str) -> bool:
    """True if `given` has the shape of `own`; the embeddings of a language part may have fewer rows."""
    if part != "language" or own.ndim != 2:
        return given.shape == own.shape
    return given.shape[1:] == own.shape[1:] and len(given) <= len(own)
