"""A model and the processor it will meet: token ids, sizes, and whether a base is the one that was asked for."""

import json
from pathlib import Path

from fmcycle.error import InputError

END_OF_TURN = "<|end|>"
CLOSING = ("o_proj", "down_proj", "c_proj")  # what transformers calls the last matrix of attention and MLP in its causal models


def fit_to(model, processor):
    """`model` with the token ids of `processor`; generation ends at the end of a turn or of the text.

    Raises InputError where the processor has more tokens than the model has embeddings.
    """
    if len(processor) > model.config.vocab_size:
        raise InputError(
            f"the processor has {len(processor)} tokens, model.vocab_size is {model.config.vocab_size}: raise it to at least that"
        )
    end = processor.convert_tokens_to_ids(END_OF_TURN)
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.pad_token_id = processor.bos_token_id, processor.pad_token_id
    model.config.eos_token_id = processor.eos_token_id
    model.generation_config.eos_token_id = [end, processor.eos_token_id]
    return model


def quiet(model):
    """A new `model` whose blocks add nothing yet: the last matrix of each attention and each MLP is zero.

    Every block then learns from the embeddings on, not from its neighbours' noise. Source: Zhang et al., Fixup (2019), section 3.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and name.split(".")[-2] in CLOSING:
            parameter.data.zero_()
    return model


def like(folder: str | Path):
    """A model of the architecture and sizes of the one in `folder`, without its weights."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return getattr(transformers, config.architectures[0])(config)


def check_asked(folder: str | Path, node: dict) -> None:
    """Is the model in `folder` the one that the config node {"_target_", field: value} describes?

    Raises InputError that names the first difference.
    """
    found = json.loads((Path(folder) / "config.json").read_text())
    asked = {"architecture": node["_target_"].rpartition(".")[2], **{key: value for key, value in node.items() if key != "_target_"}}
    have = {"architecture": found["architectures"][0], **found}
    for key, value in asked.items():
        if key in have and have[key] != value:
            raise InputError(
                f"{folder} is a {have['architecture']} with {key} {have[key]}; you asked for model.{key}={value}. "
                f"Run `dvc repro pretrain` with it, or choose the model=... whose {key} is {have[key]}."
            )
