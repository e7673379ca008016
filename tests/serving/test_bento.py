"""A built Bento serves what it holds from anywhere, and writes nothing into itself."""

import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

HELLO = {"messages": [{"role": "user", "content": "What is a bucket?"}]}


@pytest.fixture(scope="module")
def bento(project_with_model):
    """(tag, folder) of the Bento of the tiny model."""
    home = project_with_model / ".cache/bentoml"
    home.mkdir(parents=True, exist_ok=True)
    (project_with_model / "requirements.lock").touch()
    environment = os.environ | {"BENTOML_HOME": str(home)}
    command = [sys.executable, "-m", "bentoml", "build"]
    done = subprocess.run(command, cwd=project_with_model, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = next(folder for folder in (home / "bentos/fmcycle").iterdir() if folder.is_dir())
    return f"fmcycle:{folder.name}", folder


def asked(server, path, body):
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


def serves(server, folder, home):
    """It answers, keeps that in BentoML's home, and its own folder stays as it was built."""
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if "__pycache__" not in file.parts}
    server.wait()
    answer = asked(server, "/v1/chat/completions", HELLO)
    assert answer["choices"][0]["message"]["content"].startswith("The bucket")
    assert asked(server, "/v1/feedback", {"id": answer["id"], "rating": 1})["new"]
    with sqlite3.connect(home / "fmcycle/store/feedback.db") as connection:
        assert (answer["id"],) in connection.execute("SELECT answer_id FROM feedback").fetchall()
    after = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if "__pycache__" not in file.parts}
    assert before == after


def test_by_its_tag_from_the_root_of_the_file_system(bento, project_with_model, running):
    tag, folder = bento
    server = running(project_with_model, tag, cwd=Path("/"))
    serves(server, folder, project_with_model / ".cache/bentoml")


@pytest.mark.prove
def test_as_its_container_does(bento, project_with_model, running, tmp_path):
    """The entry point of BentoML's image, in its WORKDIR, with its variables, but on loopback."""
    _, folder = bento
    entry, path = str(folder / "env/docker/entrypoint.sh"), f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    image = {"BENTO_PATH": str(folder), "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_CONTAINERIZED": "true", "PATH": path}
    run = "import os, sys; os.execvp('bash', ['bash', *sys.argv[1:]])"
    server = running(project_with_model, entry, "serve", cwd=folder, program=("-c", run), **image, BENTOML_HOST="127.0.0.1")
    serves(server, folder, tmp_path / "home")


def test_the_image_listens_beyond_itself_and_refuses_unless_told(bento, project_with_model):
    assert "BENTOML_HOST=0.0.0.0" in (bento[1] / "env/docker/Dockerfile").read_text()
    image = {"BENTOML_HOST": "0.0.0.0", "BENTOML_CONTAINERIZED": "true", "BENTOML_HOME": str(project_with_model / ".cache")}
    command = [sys.executable, "-m", "bentoml", "serve", str(bento[1]), "--port", "0"]
    done = subprocess.run(command, cwd=bento[1], env=os.environ | image, capture_output=True, text=True, timeout=90)
    assert done.returncode == 2 and "FMCYCLE_OPEN=yes" in done.stderr and "Traceback" not in done.stderr
