"""What bentofile.yaml names: src/ on the path, what BentoML would do behind our back undone, and the service."""

import os
import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
for name in [name for name in sys.modules if name.partition(".")[0] == "fmcycle"]:
    del sys.modules[name]  # `bentoml serve fmcycle:TAG` looks for a module first, and finds one that is installed: not this code
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

from fmcycle.hardware import threads  # noqa: E402

threads.settle()

import bentoml  # noqa: E402
import bentoml.serving  # noqa: E402
import uvicorn.config  # noqa: E402
from bentoml._internal import configuration  # noqa: E402
from bentoml._internal.configuration.containers import BentoMLContainer  # noqa: E402

from fmcycle.serving.service import create, home_of, version  # noqa: E402
from fmcycle.serving.start import Ends  # noqa: E402

# Metrics stand in BentoML's home, which every project of a user shares: a second server would clear those of the first.
BentoMLContainer.prometheus_multiproc_dir.set(str(home_of(HERE.parent) / f".cache/bentoml/metrics-{os.getpid()}"))

# A Bento's version is its content; BentoML would name it by time and chance, and bentofile.yaml has no key for it.
bentoml.Tag.make_new_version = lambda tag: bentoml.Tag(tag.name, version(HERE.parent, tag.name))

# `bentoml build` installs uv into the environment even where it has nothing to lock.
configuration.get_uv_command = lambda: ["uv"]

# uvicorn would hold a connection open as long as anything trickles in.
uvicorn.config.HTTP_PROTOCOLS["auto"] = "fmcycle.serving.connection:Connection"

# A worker that ends is started again, for ever.
bentoml.serving.create_watcher = partial(bentoml.serving.create_watcher, hooks={"after_reap": (Ends(), False)})

service = create(HERE.parent)
