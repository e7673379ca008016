"""Loads a GGUF file (llama.cpp) as a plain transformers model, its quantized weights dequantized to fp32."""

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

from fmcycle.errors import InputError
from fmcycle.processor.store import library

LEFT_OUT = ("quantization_config", "_name_or_path", "transformers_version")  # fields that transformers adds to the config


@functools.lru_cache(maxsize=1)  # reading takes seconds: the vocabulary is parsed string by string
def reader(file: Path) -> Any:
    """Return the file's metadata and tensors, memory-mapped. Raises InputError if it is truncated or no GGUF."""
    from gguf import GGUFReader

    try:
        return GGUFReader(file)
    except Exception as error:  # a damaged file raises any of Python's errors
        raise InputError(f"{file}: not a whole GGUF file ({type(error).__name__}: {error}); fetch it again") from error


def model_class(architecture: str) -> Any:
    """Return the transformers model class of this name. Raises InputError if there is none."""
    import transformers

    found = getattr(transformers, architecture, None)
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise InputError(f"model.architecture {architecture}: transformers has no such model; LlamaForCausalLM is one")
    return found


def load(file: Path, architecture: str | None = None) -> Any:
    """Return the model of class `architecture`, fp32; None: the language model that the file names.

    Raises InputError if the file's class or set of weights differs.
    """
    import torch
    import transformers

    wanted = model_class(architecture) if architecture else None
    tensors = {tensor.name for tensor in reader(file).tensors}
    with library(f"{file}: its fields"):
        config = transformers.AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name, local_files_only=True)
    wanted = wanted or named_by(config, file)
    if config.model_type != wanted.config_class.model_type:
        raise InputError(f"{file} is a {config.model_type}, but model.architecture is {architecture}: correct it, or choose another file")
    fields = {name: value for name, value in config.to_dict().items() if name not in LEFT_OUT}
    plain = wanted.config_class(**fields | {"architectures": [wanted.__name__]})
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


def named_by(config: Any, file: Path) -> Any:
    """Return the language model class of a config. Raises InputError if transformers has none for it."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    if name is None:
        raise InputError(f"{file} is a {config.model_type}, which is no language model of transformers: name one, model.architecture=CLASS")
    return model_class(name)


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
