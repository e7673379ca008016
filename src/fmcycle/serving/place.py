"""The device of a served model: the trainer of local.yaml, read as plain yaml because a server has no Hydra."""

import inspect
from pathlib import Path
from typing import Any

import yaml

from fmcycle.config import build, signature
from fmcycle.errors import InputError

CPU = "cpu"


def machine() -> Any:
    """Return the trainer that local.yaml of the working folder names; the CPU if it names none.

    Raises InputError for a trainer that conf/trainer lacks, a wrong key or value, and a device that this machine lacks.
    """
    settings = build.local()
    named = settings.get("trainer") or CPU
    own = named if isinstance(named, dict) else {}  # nested keys mean the same as dotted ones
    own = own | {key.removeprefix("trainer."): value for key, value in settings.items() if key.startswith("trainer.")}
    node = _option(CPU if isinstance(named, dict) else str(named)) | own
    known = signature.read(node["_target_"])
    for key, value in node.items():
        if known and key not in known.parameters and key != "_target_":
            raise InputError(f"local.yaml: trainer.{key}: there is no such key; it has {', '.join(known.parameters)}")
        if known and key != "_target_" and (wrong := signature.fault(value, known.parameters[key].type)):
            raise InputError(f"local.yaml: trainer.{key}: {wrong}")
    made = build.build(node)
    made.check(trains=False)
    return made


def _option(name: str) -> dict:
    """Read conf/trainer/NAME.yaml of the project or of a user's package; the CPU needs no file."""
    folders = [build.conf_dir(), *build.added_folders()]
    files = [file for folder in folders if (file := folder / f"trainer/{name}.yaml").is_file()]
    if not files and name != CPU:
        raise InputError(f"local.yaml: trainer {name}: there is no conf/trainer/{name}.yaml; name one that is there, or take it out")
    return yaml.safe_load(files[0].read_text()) if files else {"_target_": "fmcycle.training.trainer.TrainerConfig"}


def engine(node: dict, folder: str | Path) -> Any:
    """Build the engine of `node` over the model in `folder`, with the device and dtype of this machine if it takes them."""
    make, here = build.build(node), machine()
    taken = inspect.signature(make).parameters
    given = {name: value for name, value in (("device", here.device), ("dtype", here.dtype)) if name in taken}
    return make(folder=str(folder), **given)
