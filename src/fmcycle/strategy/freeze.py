"""Partial fine-tuning: train only the named weights."""

import re

from fmcycle.errors import InputError, suggest


def freeze(model, *, train: list[str]):
    """Return `model` with only the weights trainable whose name matches one of the regular expressions `train`.

    Raises InputError for a regular expression that matches none.
    """
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]  # tied weights under each of their names
    parts = {part for name in names for part in name.split(".") if not part.isdigit()}
    for pattern in train:
        if not any(re.search(pattern, name) for name in names):
            raise InputError(f"strategy.train: {pattern} matches no weight of this {type(model).__name__}{suggest(pattern, parts)}")
    if not train:
        raise InputError("strategy.train is empty: name the weights to train, for instance strategy.train=[norm]")
    model.requires_grad_(False)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if any(re.search(pattern, name) for pattern in train):
            parameter.requires_grad_(True)
    return model
