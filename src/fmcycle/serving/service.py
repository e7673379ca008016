"""The BentoML service: checks and deploys before it starts, loads the model beside the routes, is ready after a warm-up."""

import logging
import os
import socket
import sys
import threading
from pathlib import Path

import bentoml

from fmcycle import artifact
from fmcycle.error import InputError
from fmcycle.serving import deploy

log = logging.getLogger("bentoml.serve")


def version(project: Path, name: str) -> str:
    """The version of the Bento `name`: a digest of code, requirements and deployed model. Ends well where that is built already."""
    files = [file for file in sorted((project / "src").rglob("*")) if file.is_file() and "__pycache__" not in file.parts]
    files += [file for name in ("bentofile.yaml", "requirements.lock") if (file := project / name).is_file()]
    content = {file.relative_to(project).as_posix(): artifact.sha256(file) for file in files}
    digest = artifact.digest_of(content | {"deployed": settle(project)["tag"]})[:16]
    if bentoml.bentos.list(f"{name}:{digest}"):
        print(f"{name}:{digest} is built already, from the same code and model")
        raise SystemExit(0)
    return digest


def settle(project: Path) -> dict:
    """Deploy a new candidate that passed, and verify what is deployed; its package.json. Exits with 2 and the reason else."""
    try:
        log.info(deploy.refresh(project / "artifacts/package", project))
        folder, package = deploy.current(project)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    log.info("fmcycle:%s is deployed, in %s", package["tag"], folder)
    return package


def check_port() -> None:
    """Exit with 2 where another process listens on the port that `bentoml serve` is about to take."""
    import click
    from bentoml._internal.configuration.containers import BentoMLContainer

    context = click.get_current_context(silent=True)
    given = context.params if context else {}
    host = given.get("host") or BentoMLContainer.http.host.get()
    port = given.get("port") or BentoMLContainer.http.port.get()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            problem = f"port {port} on {host}: {error.strerror}; end what listens there, or choose another with `bentoml serve --port N`"
            print(problem, file=sys.stderr)
            raise SystemExit(2) from None


def create():
    """The service class, with its routes."""
    from fmcycle.serving import app as routes

    app = routes.create()

    @bentoml.service(name="fmcycle", workers=1, traffic={"timeout": 600}, http={"host": "127.0.0.1", "port": 3000})
    @bentoml.asgi_app(app, path="/")
    class Fmcycle:
        """The deployed model in OpenAI's form, with its feedback hook."""

        def __init__(self):
            self.failure = None
            threading.Thread(target=self._load, daemon=True).start()

        @bentoml.on_deployment
        @staticmethod
        def check():
            check_port()
            settle(Path())

        def _load(self):
            from fmcycle.serving.assistant import Assistant
            from fmcycle.serving.store import Store

            try:
                folder, package = deploy.current()
                assistant = Assistant(folder, package, Store())
                assistant.engine.warm_up()
            except Exception:
                log.exception("the model can't be served")
                os._exit(1)
            app.state.assistant = assistant
            log.info("ready: %s", assistant.name)

        def __is_ready__(self) -> bool:
            return app.state.assistant is not None

    return Fmcycle
