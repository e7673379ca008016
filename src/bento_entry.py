"""What bentofile.yaml names: src/ on the path, what BentoML would do behind our back undone, and the service."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

from fmcycle import threads  # noqa: E402

threads.settle()

import bentoml  # noqa: E402
from bentoml._internal import configuration  # noqa: E402
from bentoml._internal.configuration.containers import BentoMLContainer  # noqa: E402

from fmcycle.serving.service import create, version  # noqa: E402

# Metrics stand in BentoML's home, which every project of a user shares: a second server would clear those of the first.
BentoMLContainer.prometheus_multiproc_dir.set(str(HERE.parent / f".cache/bentoml/metrics-{os.getpid()}"))

# A Bento's version is its content; BentoML would name it by time and chance, and bentofile.yaml has no key for it.
bentoml.Tag.make_new_version = lambda tag: bentoml.Tag(tag.name, version(HERE.parent, tag.name))

# `bentoml build` installs uv into the environment even where it has nothing to lock.
configuration.get_uv_command = lambda: ["uv"]

service = create()
