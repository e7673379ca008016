"""Serves a model folder that is not deployed: the same routes, guards and checks in one process, and a feedback store of its own."""

import signal
import sys
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.routing import Route

from fmcycle.artifact import folder as artifact
from fmcycle.model import store as model_store
from fmcycle.serving import place, routes, start
from fmcycle.serving.access import Access, check_address
from fmcycle.serving.assistant import Assistant
from fmcycle.serving.connection import Connection
from fmcycle.serving.probe import answers, probe
from fmcycle.serving.store import Store

STORES = Path("runs/serve")  # a folder for each served model, named by its tag
HEALTH = ("/healthz", "/livez", "/readyz")  # routes that BentoML adds to a deployed model's


def serve(model: Path, served: dict, host: str, port: int) -> int:
    """Serve the model in the folder `model` as `served` {"engine", "guardrail"} says, until the process is told to end.

    Before it listens, the model answers once in a process of its own, as before a deployment. Raises InputError if address, port or
    model can't be served. No gate is asked, and nothing is deployed.
    """
    import uvicorn

    if loud := check_address(host, port):
        print(loud, file=sys.stderr)
    start.check_port(host, port)
    app = routes.create(allowed=Access.told())
    probe(model, served)
    package = artifact.tagged(model_store.describe(model) | served | {"config": artifact.digest_of(served)})
    file = STORES / package["tag"] / "feedback.db"
    assistant = Assistant(model, package, Store(f"sqlite:///{file}"))
    answers(assistant.engine, [*assistant.pipeline.guards("input"), *assistant.pipeline.guards("output")])
    app.state.assistant = assistant
    app.routes[:0] = [Route(path, lambda _: PlainTextResponse("")) for path in HEALTH]
    if slow := place.machine().slow(place.machine().precision):
        print(slow, file=sys.stderr)
    print(f"{model}: served as it is; no gate has passed it, and what is deployed stays as it is")
    print(f"{file}: its answers and their feedback; `fmcycle feedback export` reads the deployed model's alone")
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}: its page, and OpenAI's form at /v1; Ctrl-C ends it", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn ends the server, then raises the signal again
    settings: dict = {"host": host, "port": port, "http": Connection, "log_level": "warning", "lifespan": "off", "access_log": False}
    try:
        uvicorn.Server(uvicorn.Config(app, **settings)).run()
    except KeyboardInterrupt:
        return 0
    finally:
        assistant.keeper.close()
    return 0
