"""What can't be served ends `bentoml serve` with exit code 2 and one sentence, before a worker starts, and never starts it again."""

import os
import shutil
import socket
import subprocess
import sys

import psutil
import pytest
from packages import repackaged

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact


def serve(root, *arguments, limit=None, **variables):
    """`bentoml serve` in `root`, which is expected to end: (exit code, what it said)."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "FMCYCLE_OPEN", "BENTOML_HOST")}
    environment |= {"BENTOML_HOME": str(root / ".cache/bentoml"), "OMP_NUM_THREADS": "1"} | variables
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = ["--port", str(probe.getsockname()[1])]
    command = [*(["prlimit", f"--as={limit}"] if limit else []), sys.executable, "-m", "bentoml", "serve", *port, *arguments]
    log = root / "said.log"
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=file, stderr=file)
    try:
        return process.wait(90), log.read_text()
    except subprocess.TimeoutExpired:
        return None, log.read_text()
    finally:
        if process.poll() is None:
            for each in [*psutil.Process(process.pid).children(recursive=True), process]:
                each.kill()


def refused(root, *words, workers=False, **options):
    """It is refused with a sentence that has these words in it."""
    code, said = serve(root, *options.pop("arguments", []), **options)
    assert code == 2, said
    assert "Traceback" not in said and (workers or "Starting production" not in said), said
    for word in words:
        assert said.count(word) == 1, said


def test_an_engine_that_fails(deployed):
    repackaged(deployed, engine={"_target_": "fmcycle.engine.transformers.Transformers", "_partial_": True} | {"most_tokens": 5})
    refused(deployed, "most_tokens")


def test_what_is_deployed_can_not_be_read(deployed):
    next((deployed / "deployed").glob("*/package.json")).write_text("[]")
    folder = next((deployed / "deployed").glob("*/package.json")).parent
    atomic.write_json(folder / "manifest.json", artifact.listing(folder))
    shutil.rmtree(deployed / "artifacts")
    refused(deployed, "package.json: holds no JSON object")


@pytest.mark.prove
def test_a_worker_that_is_killed_while_it_loads_is_not_started_for_ever(deployed):
    file = deployed / "src/fmcycle/serving/load.py"
    killed = 'if "BENTOML_RUNNER_MAP" in os.environ:\n        os.kill(os.getpid(), 9)\n    '
    file.write_text(file.read_text().replace('where = str(root / "deployed")', killed + 'where = str(root / "deployed")'))
    refused(deployed, "3 workers in a row", workers=True)


def test_a_port_that_is_none(deployed):
    refused(deployed, "port 99999", "--port N", arguments=["--port", "99999"])


@pytest.mark.prove
def test_a_worker_that_can_not_load_what_was_tried_ends_the_server(deployed):
    file = deployed / "src/fmcycle/serving/load.py"
    only_here = 'import os\n    if "BENTOML_RUNNER_MAP" in os.environ:\n        raise InputError("there is no memory left")\n    '
    file.write_text(file.read_text().replace('where = str(root / "deployed")', only_here + 'where = str(root / "deployed")'))
    refused(deployed, "there is no memory left", workers=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_this_machine(project_with_model, host):
    refused(project_with_model, "FMCYCLE_OPEN=yes", "no API keys", arguments=["--host", host])
    refused(project_with_model, "FMCYCLE_OPEN=yes", BENTOML_HOST=host)


def test_what_is_no_address_or_no_setting(project_with_model):
    refused(project_with_model, "--host 127.0.0.1", arguments=["--host", "localhost"])
    refused(project_with_model, "FMCYCLE_ORIGINS: x", FMCYCLE_ORIGINS="x")
