"""`fmcycle serve [MODEL]`: starts the server of the deployed package, or one of a model folder that is not deployed."""

import os
import sys
from pathlib import Path

from fmcycle.cli import verbs
from fmcycle.cli.model_folder import served
from fmcycle.errors import InputError

BENTO = "bentofile.yaml"


def main(arguments: list[str]) -> int:
    """Run the verb until the server ends."""
    given = verbs.parse("serve", arguments)
    where = ["--host", given.host, "--port", str(given.port)]
    if given.model is None:
        if not Path(BENTO).is_file():
            raise InputError(f"{BENTO}: not here; change into the folder of your project, or serve a model with `fmcycle serve MODEL`")
        os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", *where])
    from fmcycle.runner.run import quiet
    from fmcycle.serving import folder

    quiet()
    path, nodes = served(given.model, *given.overrides)
    return folder.serve(path, nodes, given.host, given.port)
