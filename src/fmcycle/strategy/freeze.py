"""Only named weights move."""

import re

from fmcycle.errors import InputError


def freeze(model, *, train: list[str]):
    """`model` with only the weights trained whose name one of the regular expressions `train` finds.

    Raises InputError where they find none.
    """
    pattern = re.compile("|".join(train))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(bool(train) and pattern.search(name) is not None)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"strategy.train {train} finds no weight of the model; names look like {next(iter(model.named_parameters()))[0]}")
    return model
