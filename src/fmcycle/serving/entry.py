"""The service that a bentofile.yaml names, with BentoML's defaults that fmcycle changes."""

import os
from functools import partial
from pathlib import Path
from typing import Any


def service(root: Path):
    """Return the BentoML service over the deployed model of the folder `root`. Call it before anything imports BentoML."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    from fmcycle.hardware import threads

    threads.settle()
    from fmcycle.serving.service import create

    _change_bentoml(root)
    return create(root)


def _change_bentoml(root: Path) -> None:
    import bentoml
    import bentoml.serving
    import uvicorn.config
    from bentoml._internal import configuration
    from bentoml._internal.configuration.containers import BentoMLContainer

    from fmcycle.serving.service import home_of, version
    from fmcycle.serving.start import Ends

    tags: Any = bentoml.Tag
    settings: Any = configuration
    serving: Any = bentoml.serving

    # Metrics stand in BentoML's home, which every project of a user shares: a second server would clear those of the first.
    BentoMLContainer.prometheus_multiproc_dir.set(str(home_of(root) / f".cache/bentoml/metrics-{os.getpid()}"))

    # A Bento's version is its content; BentoML would name it by time and chance, and bentofile.yaml has no key for it.
    tags.make_new_version = lambda tag: bentoml.Tag(tag.name, version(root, tag.name))

    # `bentoml build` installs uv into the environment even where it has nothing to lock.
    settings.get_uv_command = lambda: ["uv"]

    # uvicorn would hold a connection open as long as anything trickles in.
    uvicorn.config.HTTP_PROTOCOLS["auto"] = "fmcycle.serving.connection:Connection"

    # A worker that ends is started again, for ever.
    serving.create_watcher = partial(serving.create_watcher, hooks={"after_reap": (Ends(), False)})
