"""What bentofile.yaml names: the service of the code beside this file."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
for name in [name for name in sys.modules if name.partition(".")[0] == "fmcycle"]:
    del sys.modules[name]  # `bentoml serve fmcycle:TAG` looks for a module first, and finds one that is installed: not this code

from fmcycle.serving import entry  # noqa: E402

service = entry.service(HERE.parent)
