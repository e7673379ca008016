"""Apply a strategy to a model; refuse a name or number in an adapter's config that fits nothing in the model."""

import copy
import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial

from fmcycle.errors import ConfigError, InputError, suggest

KEY = "strategy.peft_config"
REFUSALS = (ValueError, TypeError, KeyError, AttributeError, IndexError, NotImplementedError, ImportError)


def adapted(strategy: Callable, model):
    """Return `strategy(model)`; peft gets a copy of its config, in which it notes the names that it found.

    Raises InputError for an entry of peft_config that fits nothing in the model, and for a config that peft refuses.
    """
    config = getattr(strategy, "keywords", {}).get("peft_config")
    if config is None:
        return strategy(model)
    if found := list(problems(config, model)):
        raise ConfigError(found)
    try:
        with warnings.catch_warnings():  # peft's own names for the experts of a mixture; problems() has looked at the user's
            warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match", RuntimeWarning)
            return partial(strategy, peft_config=copy.deepcopy(config))(model)
    except REFUSALS as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{KEY}: does not fit this {type(model).__name__}: {first}; correct {KEY}") from error


def problems(config, model) -> Iterator[str]:
    """Yield one line for each entry of a peft config that fits no module, parameter or layer of `model`; peft ignores such an entry."""
    modules = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    parameters = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    tokens, kind = getattr(config, "trainable_token_indices", None), type(model).__name__
    for field, entries, names, fits in (
        ("target_modules", listed(config, "target_modules"), modules, partial(targets, config)),
        ("feedforward_modules", listed(config, "feedforward_modules"), modules, ends),
        ("exclude_modules", listed(config, "exclude_modules"), modules, ends),
        ("target_parameters", listed(config, "target_parameters"), parameters, ends),
        ("modules_to_save", listed(config, "modules_to_save"), modules, str.endswith),
        ("trainable_token_indices", list(tokens) if isinstance(tokens, dict) else [], modules, str.endswith),
        ("rank_pattern", list(getattr(config, "rank_pattern", None) or {}), modules + parameters, matches),
        ("alpha_pattern", list(getattr(config, "alpha_pattern", None) or {}), modules + parameters, matches),
    ):
        for entry in entries:
            if not any(fits(name, entry) for name in names):
                shown = {name.rpartition(".")[2] for name in names if not name.rpartition(".")[2].isdigit()}
                yield f"{KEY}.{field}: {entry} fits nothing in this {kind}{suggest(entry, shown)}"
    if tokens and hasattr(model, "get_input_embeddings"):
        read = next((name for name, module in model.named_modules() if module is model.get_input_embeddings()), "")
        if twice := [entry for entry in listed(config, "modules_to_save") if read.endswith(entry)]:
            yield f"{KEY}: modules_to_save trains {twice[0]} whole, trainable_token_indices rows of it: leave one of them out"
    layers = getattr(config, "layers_to_transform", None)
    for layer in [layers] if isinstance(layers, int) else layers or []:
        if not any(str(layer) in name.split(".") and targets(config, name, layer=layer) for name in modules):
            there = sorted({int(part) for name in modules for part in name.split(".") if part.isdigit()})
            yield f"{KEY}.layers_to_transform: no target module is in layer {layer} of this {kind}, whose layers are {there}"


def listed(config, field: str) -> list[str]:
    """Return the names in a field of a peft config; a regular expression for all names is not a list of them."""
    value = getattr(config, field, None)
    return [] if value is None or isinstance(value, str) else sorted(map(str, value))


def targets(config, name: str, entry: str | None = None, layer: int | None = None) -> bool:
    """True if peft would adapt the module `name` for `entry` alone (None: any), in `layer` alone (None: those of the config)."""
    from peft.tuners.tuners_utils import check_target_module_exists

    alone = copy.copy(config)
    alone.exclude_modules = alone.modules_to_save = None
    if entry is not None:
        alone.target_modules = {entry}
    if layer is not None:
        alone.layers_to_transform = [layer]
    return bool(check_target_module_exists(alone, name))


def ends(name: str, entry: str) -> bool:
    """True if `entry` is the dotted name or its end."""
    return f".{name}".endswith(f".{entry}")


def matches(name: str, pattern: str) -> bool:
    """True if the regular expression `pattern` matches the end of the dotted name."""
    return re.match(rf"(.*\.)?({pattern})$", name) is not None
