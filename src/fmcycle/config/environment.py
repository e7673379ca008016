"""Refuses `oc.env` and `hydra:`, so that nothing of the environment or this machine enters a config, an artifact or an address."""

import functools
import re

from fmcycle.errors import InputError

CLOSED = "a config may not read the environment; write the value, or let the constructor read it"
RESOLVERS = ("oc.env", "hydra")
ASKS = re.compile(r"\$\{\s*(oc\.env|hydra)\s*:")


def close(config) -> list[str]:
    """Return one line for each text of `config` (plain data, unresolved) that reads the environment; from here on both resolvers raise."""
    from omegaconf import OmegaConf

    for name in RESOLVERS:
        OmegaConf.register_new_resolver(name, functools.partial(_answer, name), replace=True)
    return [f"{key}: {value}: {CLOSED}" for key, value in _asking(config)]


def _answer(resolver: str, name: str = "", *_):
    raise InputError(f"${{{resolver}:{name}}}: {CLOSED}")


def _asking(node, key: str = "") -> list[tuple[str, str]]:
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        return [found for name, item in items for found in _asking(item, f"{key}.{name}" if key else str(name))]
    return [(key, node)] if isinstance(node, str) and ASKS.search(node) else []
