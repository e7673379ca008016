"""The only artifact format: a folder with `manifest.json`, written last."""

import hashlib
import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmcycle import durable, known
from fmcycle.error import InputError
from fmcycle.part import tokenizer_of

MANIFEST = "manifest.json"
# what turns text, pictures and sound into tensors: one of these changed means another processor
PARTS = ("processor_config.json", "preprocessor_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")
PROCESSOR_FILES = (*TOKENIZER_FILES, *PARTS)


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes; a large one that has not changed since it was last asked for is not read again."""
    return known.sha256(path)


def digest_of(content) -> str:
    """Hex digest of plain data (dict, list, str, numbers), independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def listing(folder: Path) -> dict[str, dict]:
    """{relative path: {"size", "sha256"}} of every file in `folder` but the manifest, `.gitkeep` and locks."""
    return {
        file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST and not file.name.startswith(".")
    }


@contextmanager
def create(folder: str | Path):
    """Yield an empty folder to write into; on success it gets its manifest and takes the place of `folder`.

    After an error, or a kill, `folder` is what it was before.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        durable.write_json(partial / MANIFEST, listing(partial))
        durable.replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def digest(path: str | Path) -> str:
    """Content digest of an artifact folder (of its manifest), of any other folder (of its listing) or of a file."""
    path = Path(path)
    if path.is_file():
        return sha256(path)
    if (path / MANIFEST).is_file():
        return sha256(path / MANIFEST)
    return digest_of(listing(path))


def verify(path: str | Path) -> str:
    """Check `path`, a folder or one file of it, against the manifest; return its content digest.

    A folder or file that no manifest covers is taken as it is (a person's own data).
    Raises InputError naming the file, both digests and the command that repairs it.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: not there; {_repair(path)}")
    folder = path if path.is_dir() else path.parent
    if not (folder / MANIFEST).is_file():
        return digest(path)
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except ValueError:
        raise InputError(f"{folder / MANIFEST}: not readable as JSON; {_repair(folder)}") from None
    wanted = manifest if path.is_dir() else {path.name: manifest.get(path.name)}
    for name, entry in wanted.items():
        _check_file(folder, name, entry)
    return digest(path)


def _check_file(folder: Path, name: str, entry: dict | None) -> None:
    if entry is None:
        raise InputError(f"{folder / name}: not in {folder / MANIFEST}; {_repair(folder)}")
    if not (folder / name).is_file():
        raise InputError(f"{folder / name}: in the manifest but not there; {_repair(folder)}")
    found = sha256(folder / name)
    if found != entry["sha256"]:
        raise InputError(f"{folder / name}: sha256 {found[:12]}..., manifest says {entry['sha256'][:12]}...; {_repair(folder)}")


def _repair(path: Path) -> str:
    parts = path.parts
    if "artifacts" in parts and parts.index("artifacts") + 1 < len(parts):
        stage = parts[parts.index("artifacts") + 1]
        return f"run `dvc checkout --force {path}` or `dvc repro --force {stage}`"
    return "make it again with the command that made it, or name another with inputs.NAME=PATH"


def describe(model: str | Path) -> dict[str, str]:
    """Content digests of a model folder: {"model", "processor", "template"}; no template is "": not every model chats."""
    model = Path(model)
    files = {name: sha256(model / name) for name in PROCESSOR_FILES if (model / name).is_file()}
    return {"model": digest(model), "processor": digest_of(files), "template": files.get("chat_template.jinja", "")}


def tokenizer_digest(folder: str | Path) -> str | None:
    """The sha256 of the tokenizer in a processor or model folder; None where there is none."""
    file = Path(folder) / "tokenizer.json"
    return sha256(file) if file.is_file() else None


def tagged(package: dict) -> dict:
    """`package` (plain data) with its `tag`: 16 hex digits over everything else in it."""
    content = {key: value for key, value in package.items() if key != "tag"}
    return content | {"tag": digest_of(content)[:16]}


def save_model(model, processor, folder: str | Path) -> None:
    """Write `model` and `processor` into an artifact folder that transformers (or diffusers) loads unaided."""
    with create(folder) as partial:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
        if (tokenizer := tokenizer_of(processor)) is not None and (partial / "text_encoder").is_dir():
            tokenizer.save_pretrained(partial / "tokenizer")  # where diffusers looks for it


def load_processor(folder: str | Path):
    """What turns data into tensors in a processor or model folder: a tokenizer, or what else stands there; `verify` it first."""
    import transformers

    folder = Path(folder)
    Loader: Any = transformers.AutoTokenizer
    if (folder / PARTS[0]).is_file() or ((folder / PARTS[1]).is_file() and (folder / "tokenizer_config.json").is_file()):
        Loader = transformers.AutoProcessor
    elif (folder / PARTS[1]).is_file():  # AutoProcessor would make up a tokenizer where the model's architecture has one
        sees = "image_processor_type" in json.loads((folder / PARTS[1]).read_text())
        Loader = transformers.AutoImageProcessor if sees else transformers.AutoFeatureExtractor
    return Loader.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def _not_floats(folder: Path) -> dict[str, str]:
    """{name: name and type} of what a model folder stores in a type that a cast to floats would make nonsense of."""
    from safetensors import safe_open

    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            kinds = {name: tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
        found |= {name: f"{name} ({kind})" for name, kind in kinds.items() if kind not in ("F64", "F32", "F16", "BF16")}
    return found


def load_model(folder: str | Path):
    """(model, processor) of a model folder, as `load_weights` and `load_processor` have them; `verify` it first."""
    return load_weights(folder), load_processor(folder)


def load_weights(folder: str | Path):
    """The model of a model folder, in evaluation mode, fp32, on the CPU; `verify` it first.

    One that `compress=int8` made multiplies integers. Under `torch.device("meta")` it has shapes only.
    Raises InputError when a weight is missing or unexpected: never a silent random init.
    """
    import torch
    import transformers

    from fmcycle import pipeline

    if pipeline.is_pipeline(folder):
        return pipeline.load(folder).eval()
    config = json.loads((Path(folder) / "config.json").read_text())
    if "auto_map" in config:
        raise InputError(f"{folder}/config.json: auto_map names code inside the model folder, which is never run; remove it")
    architecture = getattr(transformers, config["architectures"][0])
    if torch.empty(0).is_meta:
        return architecture(architecture.config_class.from_pretrained(str(folder), local_files_only=True)).eval()
    model, report = architecture.from_pretrained(
        str(folder),
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
    )
    wrong = {kind: sorted(report[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[kind]}
    if names := [text for name, text in _not_floats(Path(folder)).items() if name in dict(model.named_parameters())]:
        wrong["not_floats"] = names
    if wrong:
        raise InputError(f"{folder}: weights do not fit the config: {wrong}")
    from fmcycle import int8

    if int8.compressed(folder):
        model = int8.run_in_integers(model)
    return model.eval()
