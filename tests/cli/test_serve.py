"""`fmcycle serve`: the deployed package as `bentoml serve` has it, or a model folder that is not deployed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fmcycle.cli import serve
from fmcycle.errors import InputError
from fmcycle.serving.store import Store


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port: int, path: str, body: dict | None = None, **headers) -> tuple[int, str]:
    """(status, body) of a request; status 0 if nobody listens."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:  # it does not listen yet
        return 0, ""


@pytest.fixture
def served(project, material, root):
    """A running server of a model folder: (port, process, its log)."""
    port, log = free(), project / "serve.log"
    environment = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fmcycle.cli.main", "serve", str(material / "model"), "engine.max_tokens=8", "--port", str(port)]
    with open(log, "w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    while process.poll() is None and "Ctrl-C ends it" not in log.read_text():
        time.sleep(0.1)
    yield port, process, log
    if process.poll() is None:
        process.kill()


def test_a_model_folder_is_served_at_once_and_nothing_is_deployed(served, project):
    port, process, log = served
    said = log.read_text()
    assert "no gate has passed it, and what is deployed stays as it is" in said, said
    while call(port, "/readyz")[0] != 200:
        time.sleep(0.1)
    status, page = call(port, "/")
    assert status == 200 and "<html" in page
    status, answer = call(
        port, "/v1/chat/completions", {"model": "fmcycle", "messages": [{"role": "user", "content": "What does str do?"}]}
    )
    found = json.loads(answer)
    assert status == 200 and found["choices"][0]["message"]["content"], answer
    assert call(port, "/v1/feedback", {"id": found["id"], "rating": 1})[0] == 201
    for headers, code in (({"Host": "example.org"}, "host_not_allowed"), ({"Origin": "http://example.org"}, "origin_not_allowed")):
        status, refused = call(port, "/v1/models", **headers)
        assert status == 403 and code in refused
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, log.read_text()
    (file,) = Path("runs/serve").glob("*/feedback.db")
    assert str(file) in said
    (row,) = Store(f"sqlite:///{file}").interactions()
    assert row["rating"] == 1 and row["answer_id"] == found["id"]
    assert not [name for name in ("deployed", "deployed.json", "store") if (project / name).exists()]


def test_what_can_not_be_served_is_refused_before_it_listens(project, material, fmcycle):
    model = str(material / "model")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for words, said in (
            ([model, "--host", "0.0.0.0"], "FMCYCLE_OPEN=yes"),
            ([model, "--port", str(taken.getsockname()[1])], "choose another with --port N"),
            ([model, "engine=classifier"], "take engine=transformers"),
            (["nothing"], "nothing: is not there"),
        ):
            done = fmcycle("serve", *words)
            assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    with pytest.raises(InputError, match=r"bentofile\.yaml: not here; change into .* or serve a model with `fmcycle serve MODEL`"):
        serve.main([])


def test_without_a_model_it_is_bentoml_serve(project, root, fmcycle):
    (project / "bentofile.yaml").write_text("service: nothing:here\n")
    done = fmcycle("serve", "--port", str(free()))
    theirs = fmcycle("serve", "--port", str(free()), module="bentoml")
    assert done.returncode == theirs.returncode != 0 and done.stderr.splitlines()[-1] == theirs.stderr.splitlines()[-1]
