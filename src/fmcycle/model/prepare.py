"""A model and the processor it will meet: token ids, sizes, and whether a base is the one that was asked for."""

import inspect
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model import diffusion as pipeline
from fmcycle.model import store as model_store
from fmcycle.processor.components import ends, tokenizer_of

MEDIA = ("pixel_values", "input_features", "input_values")
CLOSING = ("o_proj", "down_proj", "c_proj", "Wo")  # what transformers calls the last matrix of attention and MLP


def fit_to(model, processor, classes: list[str] | None = None):
    """`model` with the token ids of `processor` and the names of its classes; generation ends at the end of a turn or of the text.

    Raises InputError where the processor has more tokens than the model has embeddings, or the data more classes than the model.
    """
    tokenizer = tokenizer_of(processor)
    if tokenizer is not None:
        _tokens(model, tokenizer)
    if hasattr(processor, "image_token_id") and hasattr(model.config, "image_token_id"):
        model.config.image_token_id = processor.image_token_id
    if classes:
        _classes(model, classes)
    return model


def _tokens(model, tokenizer) -> None:
    reader = model.text_encoder if hasattr(model, "text_encoder") else model
    config = reader.config.get_text_config() if hasattr(reader.config, "get_text_config") else reader.config
    if len(tokenizer) > config.vocab_size:
        raise InputError(f"the processor has {len(tokenizer)} tokens, model.vocab_size is {config.vocab_size}: raise it to at least that")
    configs = [each for each in (config, reader.config, getattr(model, "generation_config", None)) if each is not None]
    for each in configs:
        each.bos_token_id, each.pad_token_id, each.eos_token_id = tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id
        if getattr(reader.config, "is_encoder_decoder", False):
            each.decoder_start_token_id = tokenizer.bos_token_id
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.eos_token_id = sorted(ends(tokenizer))


def _classes(model, classes: list[str]) -> None:
    diffusion = getattr(model, "denoiser", None) is not None
    if (diffusion and model.classes is None) or (not diffusion and "Classification" not in type(model).__name__):
        return  # classes are there for the evaluation alone: it follows a text, or has no head for them
    room = model.classes if diffusion else model.config.num_labels
    key = "model.denoiser.num_class_embeds (one more: no class)" if diffusion else "model.num_labels"
    if room != len(classes):
        raise InputError(f"the train split has {len(classes)} classes, the model {room}: set {key} for {len(classes)}")
    model.config.id2label = dict(enumerate(classes))
    if not diffusion:
        model.config.label2id = {name: number for number, name in enumerate(classes)}


def check_takes(model, batch: dict) -> None:
    """Raises InputError where a batch holds pictures or sound, and the model is one of transformers' that has no place for them.

    It would not always say so itself: a language model passes by what it does not know.
    """
    taken = inspect.signature(model.forward).parameters
    for name in (each for each in MEDIA if each in batch and each not in taken and hasattr(model, "base_model_prefix")):
        raise InputError(f"the rows hold {name}, which a {type(model).__name__} does not take: choose another model=... or data=...")


def has_weights(node: dict) -> bool:
    """Does the config node of a model name weights that are there already?"""
    return "architecture" in node


def quiet(model):
    """A new `model` whose blocks add nothing yet: the last matrix of each attention and each MLP is zero.

    Every block then learns from the embeddings on, not from its neighbours' noise. Source: Zhang et al., Fixup (2019), section 3.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and name.split(".")[-2] in CLOSING:
            parameter.data.zero_()
    if type(model).__name__ == "ViTMAEForPreTraining":
        _places(model)
    return model


def _places(model) -> None:
    """The sines and cosines that tell a masked autoencoder's patches apart: transformers 5.x writes zeros over what its constructor set."""
    embeddings = model.vit.embeddings
    embeddings.patch_embeddings.projection._is_hf_initialized = False
    embeddings.initialize_weights()
    model.decoder.initialize_weights(embeddings.patch_embeddings.num_patches)


def like(folder: str | Path):
    """A model of the architecture and sizes of the one in `folder`, without its weights."""
    import transformers

    if pipeline.is_pipeline(folder):
        return pipeline.load(folder, weights=False)
    config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return getattr(transformers, config.architectures[0])(config)


def check_asked(folder: str | Path, node: dict) -> None:
    """Is the model in `folder` the one that the config node {"_target_", field: value or node} describes?

    Raises InputError that names the first difference.
    """
    folder = Path(folder)
    if pipeline.is_pipeline(folder):
        parts = {name: pipeline.folder_of(folder, name) for name in pipeline.NAMES if node.get(name)}
        have = {name: artifact.read_json(part / "config.json") for name, part in parts.items() if part}
        asked, kind = {name: node[name] for name in have}, "Diffusion"
    else:
        found = artifact.read_json(folder / "config.json")
        kind = model_store.architecture(folder).__name__
        asked, have = {"architecture": node["_target_"].rpartition(".")[2], **node}, {"architecture": kind, **found}
    for key, there, value in _differences(asked, have, ""):
        raise InputError(
            f"{folder} is a {kind} with {key} {there}; you asked for model.{key}={value}. "
            f"Run `dvc repro pretrain` with it, or choose the model=... whose {key} is {there}."
        )


def _differences(asked: dict, have: dict, prefix: str):
    """(dotted key, what is there, what was asked for) of every field that differs."""
    for key, value in asked.items():
        if key == "_target_" or key not in have or key.endswith("_token_id"):  # these are the processor's
            continue
        if isinstance(value, dict) and isinstance(have[key], dict):
            yield from _differences(value, have[key], f"{prefix}{key}.")
        elif have[key] != value:
            yield f"{prefix}{key}", have[key], value
