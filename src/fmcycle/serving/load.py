"""Loads the deployed model and asks it once. As a program it does so in a process of its own, before a server starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fmcycle.errors import InputError

if TYPE_CHECKING:
    from fmcycle.serving.assistant import Assistant

PATIENCE = 0.7  # seconds that a running server waits while another process writes to the store


def load(root: Path, home: Path, patience: float = PATIENCE) -> Assistant:
    """Return the assistant over the deployed model of `root`, which has answered once. home: the default folder of the store.

    Raises InputError with one sentence, whatever the cause.
    """
    where = str(root / "deployed")
    try:
        from fmcycle.serving import deploy  # imported here because an import may fail too if memory is short
        from fmcycle.serving.assistant import Assistant
        from fmcycle.serving.probe import answers

        folder, package = deploy.current(root)
        where = str(folder)
        assistant = Assistant(folder / "model", package, _store(home, patience))
        answers(assistant.engine, [*assistant.pipeline.guards("input"), *assistant.pipeline.guards("output")])
        return assistant
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{where}: there is not enough memory to serve this model") from error
    except Exception as error:
        from fmcycle.serving.middleware import place

        why, back = str(error).strip().partition("\n")[0][:300], "go back to another with `fmcycle deploy deployed/old/TAG`"
        raise InputError(f"{where}: this model can't be served: {why} ({place(error)}); {back}") from error


def _store(home: Path, patience: float):
    """Return the store, after a successful write."""
    from fmcycle.serving.store import Store, StoreDown

    store = Store(folder=home, patience=patience)
    try:
        store.probe()
    except StoreDown as error:
        where = store.engine.url.render_as_string(hide_password=True)
        raise InputError(f"{where}: the feedback store can't be written ({error}); name another with FMCYCLE_STORE=URL") from error
    return store


def main() -> None:
    """Usage: python -m fmcycle.serving.load ROOT HOME. If the model can't be served, standard output says why."""
    code = 0
    try:
        load(Path(sys.argv[1]), Path(sys.argv[2]), patience=5)
    except InputError as error:
        print(error, flush=True)
        code = error.exit_code
    os._exit(code)  # libraries may fail in their exit handlers if memory is short


if __name__ == "__main__":
    main()
