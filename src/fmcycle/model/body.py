"""A new head on a trained body: what a pretrained encoder is fine-tuned as."""

import json
from pathlib import Path

from fmcycle import artifact
from fmcycle.error import InputError

HEADS = ("pooler",)  # parts below the base that pretraining does not train, or not for this


def architecture(folder: str | Path) -> str | None:
    """The architecture of the model in `folder`, None where it is none of transformers'."""
    file = Path(folder) / "config.json"
    return json.loads(file.read_text()).get("architectures", [None])[0] if file.is_file() else None


def same(folder: str | Path, node: dict) -> bool:
    """Is the model in `folder` of the class that the config node asks for? One that says nothing of its class is taken to be."""
    return architecture(folder) in (None, node.get("architecture") or node["_target_"].rpartition(".")[2])


def on_body(fresh, folder: str | Path):
    """`fresh`, a new model, with the body of the one in `folder`: of the same family, for another task.

    Raises InputError where a weight of the body is missing there, or has another shape.
    """
    prefix = f"{fresh.base_model_prefix}."
    given = artifact.load_model(folder)[0].state_dict()
    own = fresh.state_dict()
    body = [name for name in own if name.startswith(prefix) and not name.startswith(tuple(f"{prefix}{head}" for head in HEADS))]
    wrong = [name for name in body if name not in given or given[name].shape != own[name].shape]
    if wrong or not body:
        found = f"{wrong[0]} is missing there or has another shape" if wrong else f"it has nothing below {prefix}"
        raise InputError(
            f"{folder} is no body for a {type(fresh).__name__} of these sizes: {found}; choose the model=... whose sizes it was trained with"
        )
    own |= {name: given[name] for name in body}
    fresh.load_state_dict(own)
    print(
        f"the body of {folder}: {len(body)} weights; new: {', '.join(sorted({n.split('.')[0] for n in own if n not in body}))}", flush=True
    )
    return fresh
