"""fmcycle from Python: `compose`, `run`, `train`, `evaluate`, `load` and `ask`; see docs/python.md. `import fmcycle` loads none of them."""

__all__ = ["ask", "compose", "evaluate", "load", "run", "train"]


def __getattr__(name: str):  # in old syntax: another Python than 3.11 and 3.12 must get as far as `fmcycle.cli.main`, which says so
    import importlib

    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.python.calls"), name)
    raise AttributeError(f"fmcycle has no {name}; it has {', '.join(__all__)}")


def __dir__() -> "list[str]":
    return __all__
