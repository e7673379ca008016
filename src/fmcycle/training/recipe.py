"""What a training run is made of: model, objective, data, of one tokenizer."""

import json
from pathlib import Path

from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import store

ENCODED_BY = "processor.json"  # which tokenizer's ids these are: another one's would be other words


def recipe(cfg, budget, processor, classes: list[str]):
    """model -> strategy -> speed. The model is new, or cfg.model's own weights, or inputs.model: as it is, or its body below a new head;
    or its parts are those of inputs.vision and inputs.language."""
    import torch

    from fmcycle.kernels import linear_cross_entropy
    from fmcycle.model.adapter import check_tokens
    from fmcycle.model.prepare import check_asked, fit_to, has_weights, quiet
    from fmcycle.model.transfer import PARTS, on_body, same, with_parts

    check_tokens(cfg.strategy.get("peft_config", {}), processor)
    torch.manual_seed(budget.seed)
    base = cfg.inputs.get("model")
    if base and not same(base, cfg.model):
        model = on_body(quiet(fit_to(build(cfg.model), processor, classes)), base)
    elif base:
        check_asked(base, cfg.model)
        model = model_store.load_model(base)[0]
    else:
        model = fit_to(build(cfg.model), processor, classes)
        model = model if has_weights(cfg.model) else quiet(model)
        model = with_parts(model, {name: cfg.inputs[name] for name in PARTS if cfg.inputs.get(name)})
    return linear_cross_entropy.fuse(build(cfg.strategy)(model))


def of_one_tokenizer(inputs: dict) -> str:
    """The folder of the processor; raises InputError where tokens were encoded by another tokenizer: their ids would be other words."""
    folder = inputs.get("model") or inputs["processor"]
    for name, path in inputs.items():
        record = Path(path or "") / ENCODED_BY
        known = json.loads(record.read_text())["tokenizer"] if path and record.is_file() else None
        own = store.tokenizer_digest(folder)
        if known and own and known != own:
            raise InputError(
                f"inputs.{name}: {path} was encoded by another tokenizer ({known[:12]}...) than that of {folder} ({own[:12]}...): encode "
                f"the documents with it, `fmcycle tokens inputs.processor={folder} inputs.documents=FILE`, or bring both up to date"
            )
    return folder
