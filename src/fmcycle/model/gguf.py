"""Loads a GGUF file (llama.cpp) as a plain transformers model, its quantized weights dequantized to fp32."""

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

from fmcycle.errors import InputError

LEFT_OUT = ("quantization_config", "_name_or_path", "transformers_version")  # fields that transformers adds to the config


@functools.lru_cache(maxsize=1)  # reading takes seconds: the vocabulary is parsed string by string
def reader(file: Path) -> Any:
    """Return the file's metadata and tensors, memory-mapped. Raises InputError if it is truncated or no GGUF."""
    from gguf import GGUFReader

    try:
        return GGUFReader(file)
    except Exception as error:  # a damaged file raises any of Python's errors
        raise InputError(f"{file}: not a whole GGUF file ({type(error).__name__}: {error}); fetch it again") from error


def licence(file: Path) -> str | None:
    """Return the file's general.license, or None."""
    field = reader(file).fields.get("general.license")
    return str(field.contents()) if field else None


def model_class(architecture: str) -> Any:
    """Return the transformers model class of this name. Raises InputError if there is none."""
    import transformers

    found = getattr(transformers, architecture, None)
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise InputError(f"model.architecture {architecture}: transformers has no such model; LlamaForCausalLM is one")
    return found


def load(file: Path, architecture: str) -> Any:
    """Return the model of class `architecture`, fp32. Raises InputError if the file's class or set of weights differs."""
    import torch
    import transformers

    wanted = model_class(architecture)
    tensors = {tensor.name for tensor in reader(file).tensors}
    config = transformers.AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name, local_files_only=True)
    if config.model_type != wanted.config_class.model_type:
        raise InputError(f"{file} is a {config.model_type}, but model.architecture is {architecture}: correct it, or choose another file")
    fields = {name: value for name, value in config.to_dict().items() if name not in LEFT_OUT}
    plain = wanted.config_class(**fields | {"architectures": [architecture]})
    with torch.device("meta"):
        check_names(file, tensors, wanted(plain))
    if torch.empty(0).is_meta:
        return wanted(plain).eval()
    with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that no setting turns off
        found, report = wanted.from_pretrained(
            str(file.parent), gguf_file=file.name, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    if wrong := {kind: sorted(report[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[kind]}:
        raise InputError(f"{file}: weights do not fit the architecture: {wrong}")
    model = wanted(plain)  # a model marked as quantized refuses to be saved
    model.load_state_dict(found.state_dict())
    return model.eval()


def check_names(file: Path, tensors: set[str], model: Any) -> None:
    """Raise InputError unless the file holds exactly the weights of `model`; transformers would ignore unknown ones silently."""
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    names = get_gguf_hf_weights_map(model, TENSOR_PROCESSORS.get(model.config.model_type, TensorProcessor)(config=model.config.to_dict()))
    wanted = set(names)
    if model.config.tie_word_embeddings:
        wanted.discard("output.weight")
    wrong = {"missing_keys": sorted(wanted - tensors), "unexpected_keys": sorted(tensors - set(names))}
    if any(wrong.values()):
        raise InputError(f"{file}: weights do not fit the architecture: { ({kind: found for kind, found in wrong.items() if found}) }")
