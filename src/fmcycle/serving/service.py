"""The BentoML service. It loads the model in a thread while the routes already answer, and is ready after a warm-up."""

import gc
import logging
import os
import resource
import sys
import threading
from functools import partial
from pathlib import Path

import bentoml

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.serving import place, start

PACKAGE = Path(__file__).resolve().parents[1]
FILES = 4096  # that a worker may open, because more connections than it keeps may come at once
log = logging.getLogger("bentoml.serve")


def home_of(root: Path) -> Path:
    """Return the folder of the store and other files of a running service: the project, or for a Bento a folder in BentoML's home.

    A Bento's own folder is a copy: `bentoml delete` removes it, and a container takes it along when it ends.
    """
    if not (root.parent / "bento.yaml").is_file():
        return root
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.bentoml_home.get()) / "fmcycle"


def _is_code(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def version(project: Path, name: str) -> str:
    """Return the version of the Bento `name`: a digest of code, requirements and deployed model. Exits with 0 if it is built already."""
    beside = ("bentofile.yaml", "requirements.lock", "requirements.txt", "serve.py")
    files = {each: project / each for each in beside if (project / each).is_file()}
    folders = {"src": project / "src", "conf/trainer": project / "conf/trainer"}
    folders |= {} if PACKAGE.is_relative_to(project.resolve()) else {"fmcycle": PACKAGE}
    for where, folder in folders.items():
        files |= {f"{where}/{file.relative_to(folder).as_posix()}": file for file in folder.rglob("*") if _is_code(file)}
    content = {each: artifact.sha256(files[each]) for each in sorted(files)}
    with start.refusing():
        tag = start.settle(project)["tag"]
    digest = artifact.digest_of(content | {"deployed": tag})[:16]
    if bentoml.bentos.list(f"{name}:{digest}"):
        print(f"{name}:{digest} is built already, from the same code and model")
        raise SystemExit(0)
    return digest


def create(root: Path):
    """Return the service class with its routes, over the deployed model of `root`."""
    from fmcycle.serving import routes
    from fmcycle.serving.access import Access
    from fmcycle.serving.connection import Connection

    with start.refusing():
        app = routes.create(allowed=Access.told())
    home, Connection.front = home_of(root), staticmethod(partial(routes.Front, app))

    @bentoml.service(name="fmcycle", workers=1, traffic={"timeout": 900}, http={"host": "127.0.0.1", "port": 3000})
    @bentoml.asgi_app(app, path="/")
    class Fmcycle:
        """The deployed model in OpenAI's form, with its feedback hook."""

        def __init__(self):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
            threading.Thread(target=self._load, daemon=True).start()

        @bentoml.on_deployment
        @staticmethod
        def check():
            start.check(root, home)

        def _load(self):
            from fmcycle.serving.load import load

            try:
                assistant = load(root, home)
            except InputError as error:  # the same load succeeded a moment ago, in `start.check`
                print(error, file=sys.stderr, flush=True)
                os._exit(error.exit_code)  # ends the server: entry.py
            gc.collect()
            gc.freeze()  # the model stays for good, and a garbage collection over all of it would delay every request
            app.state.assistant = assistant
            if said := place.machine().slow(place.machine().precision):
                log.warning(said)
            start.can_serve()
            log.info("ready: %s", assistant.name)

        @bentoml.on_shutdown
        def close(self):
            if app.state.assistant is not None:
                app.state.assistant.keeper.close()

        def __is_ready__(self) -> bool:
            return app.state.assistant is not None and not app.state.assistant.keeper.check()

    return Fmcycle
