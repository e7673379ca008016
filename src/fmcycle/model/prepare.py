"""Fits a model to its processor and classes, and checks that a base model matches the config."""

import inspect
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model import diffusion as pipeline
from fmcycle.model import store as model_store
from fmcycle.processor.components import ends, tokenizer_of
from fmcycle.processor.store import load_processor

MEDIA = ("pixel_values", "input_features", "input_values")
CLOSING = ("o_proj", "down_proj", "c_proj", "Wo")  # transformers' names of the last matrix of attention and MLP


def fit_to(model, processor, classes: list[str] | None = None, *, trained: bool = False):
    """Set the special token ids and class names in the configs of `model`; generation then ends at an end of turn or of text.

    trained: the model has its weights, and its generation also ends where it did before.
    Raises InputError if the processor has more tokens than the model has embeddings, or if data and model differ in classes.
    """
    tokenizer = tokenizer_of(processor)
    if tokenizer is not None:
        _tokens(model, tokenizer, trained)
        end_generation(model, processor, beside=trained)
    if hasattr(processor, "image_token_id") and hasattr(model.config, "image_token_id"):
        model.config.image_token_id = processor.image_token_id
    if classes:
        _classes(model, classes)
    return model


def _tokens(model, tokenizer, trained: bool) -> None:
    reader, config = _room(model, tokenizer, trained=trained)
    generation = getattr(model, "generation_config", None)
    for each in filter(None, (config, reader.config, generation)):
        each.bos_token_id, each.pad_token_id = tokenizer.bos_token_id, tokenizer.pad_token_id
        if each is not generation:
            each.eos_token_id = tokenizer.eos_token_id
        if getattr(reader.config, "is_encoder_decoder", False):
            each.decoder_start_token_id = tokenizer.bos_token_id


def _room(model, tokenizer, *, trained: bool):
    """Return (the part of `model` that reads text, its config). Raises InputError if it has fewer embeddings than there are tokens."""
    reader = model.text_encoder if hasattr(model, "text_encoder") else model
    config = reader.config.get_text_config() if hasattr(reader.config, "get_text_config") else reader.config
    if len(tokenizer) > config.vocab_size:
        repair = "weights and tokenizer are of two models; fetch both again" if trained else "raise it to at least that"
        raise InputError(f"the processor has {len(tokenizer)} tokens, model.vocab_size is {config.vocab_size}: {repair}")
    return reader, config


def sound(folder: str | Path) -> None:
    """Raise InputError if a model folder lacks a weight, a shard or its processor, or has fewer embeddings than tokens; reads headers."""
    import torch

    processor = load_processor(folder)
    with torch.device("cpu" if pipeline.is_pipeline(folder) else "meta"):
        model = model_store.load_weights(folder)
    if (tokenizer := tokenizer_of(processor)) is not None:
        _room(model, tokenizer, trained=True)


def end_generation(model, processor, *, beside: bool):
    """`model`, whose generation ends where the answers of `processor` do; with `beside` also where it did before."""
    generation = getattr(model, "generation_config", None)
    if generation is not None and tokenizer_of(processor) is not None:
        own = generation.eos_token_id if beside else None
        generation.eos_token_id = sorted({*(own if isinstance(own, list) else [own]), *ends(processor)} - {None})
    return model


def _classes(model, classes: list[str]) -> None:
    diffusion = getattr(model, "denoiser", None) is not None
    if (diffusion and model.classes is None) or (not diffusion and "Classification" not in type(model).__name__):
        return  # the model has no class head or is conditioned by text: only evaluations use the classes
    room = model.classes if diffusion else model.config.num_labels
    key = "model.denoiser.num_class_embeds (one more: no class)" if diffusion else "model.num_labels"
    if room != len(classes):
        raise InputError(f"the train split has {len(classes)} classes, the model {room}: set {key} for {len(classes)}")
    model.config.id2label = dict(enumerate(classes))
    if not diffusion:
        model.config.label2id = {name: number for number, name in enumerate(classes)}


def check_takes(model, batch: dict) -> None:
    """Raise InputError if a batch holds images or audio that a transformers model's forward does not take.

    The model itself might ignore them silently.
    """
    taken = inspect.signature(model.forward).parameters
    for name in (each for each in MEDIA if each in batch and each not in taken and hasattr(model, "base_model_prefix")):
        raise InputError(f"the rows hold {name}, which a {type(model).__name__} does not take: choose another model=... or data=...")


def quiet(model):
    """Return a new `model` with the last matrix of each attention and MLP set to zero, so that its blocks add nothing yet.

    Every block then first learns from the embeddings, not from the noise of other blocks. Source: Zhang et al., Fixup (2019), section 3.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and name.split(".")[-2] in CLOSING:
            parameter.data.zero_()
    if type(model).__name__ == "ViTMAEForPreTraining":
        _places(model)
    return model


def _places(model) -> None:
    """Restore the sinusoidal position embeddings of a masked autoencoder, which transformers 5.x overwrites with zeros."""
    embeddings = model.vit.embeddings
    embeddings.patch_embeddings.projection._is_hf_initialized = False
    embeddings.initialize_weights()
    model.decoder.initialize_weights(embeddings.patch_embeddings.num_patches)


def like(folder: str | Path):
    """Return a model with architecture and sizes of the one in `folder`, without its weights."""
    import transformers

    if pipeline.is_pipeline(folder):
        return pipeline.load(folder, weights=False)
    config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return getattr(transformers, config.architectures[0])(config)


def check_asked(folder: str | Path, node: dict) -> None:
    """Raise InputError with the first difference between the model in `folder` and a config node.

    node: {"_target_", field: value or node}.
    """
    folder = Path(folder)
    if pipeline.is_pipeline(folder):
        parts = {name: pipeline.folder_of(folder, name) for name in pipeline.NAMES if node.get(name)}
        have = {name: artifact.read_json(part / "config.json") for name, part in parts.items() if part}
        asked, kind = {name: node[name] for name in have}, "Diffusion"
    else:
        found = artifact.read_json(folder / "config.json")
        kind = model_store.architecture(folder).__name__
        named = {} if node.get("architecture", "") is None else {"architecture": node["_target_"].rpartition(".")[2]}
        asked, have = named | {key: value for key, value in node.items() if (key, value) != ("architecture", None)}, found
        have = {"architecture": kind, **have}
    for key, there, value in _differences(asked, have, ""):
        raise InputError(
            f"{folder} is a {kind} with {key} {there}; you asked for model.{key}={value}. "
            f"Run `dvc repro pretrain` with it, or choose the model=... whose {key} is {there}."
        )


def _differences(asked: dict, have: dict, prefix: str):
    """Yield (dotted key, value in the folder, value in the config) of every field that differs."""
    for key, value in asked.items():
        if key == "_target_" or key not in have or key.endswith("_token_id"):  # token ids come from the processor
            continue
        if isinstance(value, dict) and isinstance(have[key], dict):
            yield from _differences(value, have[key], f"{prefix}{key}.")
        elif have[key] != value:
            yield f"{prefix}{key}", have[key], value
