"""Saves and loads model folders: transformers and diffusers load them unaided, and no weight is initialised silently."""

import shutil
from pathlib import Path
from typing import Any

from fmcycle.artifact import folder as artifact
from fmcycle.artifact.folder import create, digest, digest_of, read_json, repair, sha256
from fmcycle.errors import InputError
from fmcycle.processor.components import tokenizer_of
from fmcycle.processor.store import PROCESSOR_FILES, library, load_processor

ADAPTER = "adapter"  # inside a model folder: a peft adapter that can't be merged, such as a prefix


def describe(model: str | Path) -> dict[str, str]:
    """Return content digests of a model folder: {"model", "processor", "template"}; "template" is "" if it has no chat template."""
    model = Path(model)
    files = {name: sha256(model / name) for name in PROCESSOR_FILES if (model / name).is_file()}
    return {"model": digest(model), "processor": digest_of(files), "template": files.get("chat_template.jinja", "")}


def save_model(model, processor, folder: str | Path, card: Path | None = None) -> None:
    """Write `model` and `processor` into an artifact folder that transformers (or diffusers) loads unaided.

    card: the model card to copy beside them, if it is a file. An adapter that can't be merged goes to the subfolder `adapter/`.
    Raises InputError if the libraries can't load the result.
    """
    with create(folder) as partial:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        base.save_pretrained(partial)
        if base is not model:
            from fmcycle.model import adapter

            adapter.write(model, partial / ADAPTER)
        processor.save_pretrained(partial)
        if (tokenizer := tokenizer_of(processor)) is not None and (partial / "text_encoder").is_dir():
            tokenizer.save_pretrained(partial / "tokenizer")  # where diffusers looks for it
        if card is not None and card.is_file():
            shutil.copyfile(card, partial / "README.md")
        loads(partial)


def loads(folder: str | Path) -> None:
    """Raise InputError if transformers or diffusers can't load the model folder with every weight; transformers reads only headers."""
    import torch

    from fmcycle.model import diffusion

    load_processor(folder)
    with torch.device("cpu" if diffusion.is_pipeline(folder) else "meta"):
        load_weights(folder)


def _not_floats(folder: Path) -> dict[str, str]:
    """Return {name: "name (dtype)"} of the stored weights that are not floating-point, so that a cast would corrupt them."""
    from safetensors import safe_open

    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            kinds = {name: tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
        found |= {name: f"{name} ({kind})" for name, kind in kinds.items() if kind not in ("F64", "F32", "F16", "BF16")}
    return found


def load_model(folder: str | Path, device=None, dtype=None):
    """Return (model, processor) of a model folder, by `load_weights` and `load_processor`; `verify` it first."""
    return load_weights(folder, device, dtype), load_processor(folder)


def architecture(folder: str | Path):
    """Return the transformers class that config.json names. Raises InputError if it names none, or code of its own."""
    import transformers

    file = Path(folder) / "config.json"
    config = read_json(file)
    if "auto_map" in config:
        raise InputError(f"{file}: auto_map names code inside the model folder, which is never run; remove it")
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None
    found: Any = getattr(transformers, name, None) if name else None
    if not hasattr(found, "config_class") or not found.config_class:
        raise InputError(f"{file}: architectures is {names!r}, which names no model of transformers; {repair(file)}")
    return found


def load_weights(folder: str | Path, device=None, dtype=None):
    """Return the model of a folder, in evaluation mode, on `device` (None: the CPU) in `dtype` (None: fp32); `verify` it first.

    A model of `compress=int8` multiplies integers, and stays on the CPU. Under `torch.device("meta")` it has shapes only, but is
    checked too.
    Raises InputError if a weight is missing or unexpected, instead of initialising it at random; and if the folder holds an adapter
    beside its weights, which transformers would apply silently.
    """
    import torch

    from fmcycle.model import diffusion, int8

    folder = Path(folder)
    shapes = torch.empty(0).is_meta
    if diffusion.is_pipeline(folder):
        parts = diffusion.load(folder, weights=not shapes).eval()
        return parts if shapes else place(parts, device, dtype)
    kind = architecture(folder)
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{folder}/adapter_config.json: an adapter beside whole weights; move it to a folder of its own and name that")
    for file in sorted(folder.glob("*.index.json")):
        artifact.indexed(file)
    _check_fits(folder, kind)  # before memory is allocated
    integers, adapted = (not shapes and found for found in (int8.compressed(folder), (folder / ADAPTER).is_dir()))
    options = {"device_map": "meta"} if shapes else {"dtype": torch.float32 if integers or adapted else dtype or torch.float32}
    with library(f"{folder}: its weights"), torch.device("cpu"):
        model = kind.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, **options)
    if integers:
        model = int8.run_in_integers(model)
        if device is not None and torch.device(device).type != "cpu":
            print(f"{folder} multiplies 8-bit integers, which only the CPU can: it stays there, in fp32", flush=True)
    if adapted:
        from fmcycle.model import adapter

        model = adapter.Prompted(adapter.load(model, folder / ADAPTER))
    return model.eval() if shapes or integers else place(model.eval(), device, dtype)


def place(model, device=None, dtype=None):
    """Return `model` on `device` (None: the CPU), its weights in `dtype` (None: fp32).

    Buffers keep their dtype: the frequencies of rotary embeddings need fp32.
    """
    import torch

    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype or torch.float32)
    return model.to(device or "cpu")


def _check_fits(folder: Path, kind) -> None:
    """Raise InputError if the weights in `folder` are not those that its config describes; read only their headers."""
    import torch

    options = {"local_files_only": True, "trust_remote_code": False, "output_loading_info": True, "ignore_mismatched_sizes": True}
    with library(f"{folder}: its weights"), torch.device("cpu"):
        model, report = kind.from_pretrained(str(folder), device_map="meta", **options)
    wrong = {name: sorted(map(str, report[name])) for name in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[name]}
    if names := [text for name, text in _not_floats(folder).items() if name in dict(model.named_parameters())]:
        wrong["not_floats"] = names
    if wrong:
        raise InputError(f"{folder}: weights do not fit the config: {wrong}")
