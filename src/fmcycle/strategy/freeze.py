"""Partial fine-tuning: train only the named weights."""

import re

from fmcycle.errors import InputError


def freeze(model, *, train: list[str]):
    """Return `model` with only the weights trainable whose name matches one of the regular expressions `train`.

    Raises InputError if none matches.
    """
    pattern = re.compile("|".join(train))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(bool(train) and pattern.search(name) is not None)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"strategy.train {train} matches no weight; names look like {next(iter(model.named_parameters()))[0]}")
    return model
