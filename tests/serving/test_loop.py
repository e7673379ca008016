"""The loop over a running server: an answer, a correction, a snapshot, and the rows that the next model learns from."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import openai
import polars as pl
import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.serving.export import export
from fmcycle.serving.store import Store
from fmcycle.source.feedback import feedback

ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "What is a bucket?"}]


def post(server, path, body, **headers):
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read()), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def store(root):
    return Store(f"sqlite:///{root}/store/feedback.db")


def test_from_an_answer_to_the_rows_of_the_next_training(server, project_with_model, tmp_path):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    answers = [client.chat.completions.create(model="fmcycle", messages=HELLO, seed=seed).id for seed in range(3)]
    package = json.loads((project_with_model / "artifacts/package/package.json").read_text())
    better = "A bucket is a container."
    said = {"rating": -1, "comment": "wrong", "corrected": better, "preferred": "corrected", "role": "expert"}
    status, kept, _ = post(server, "/v1/feedback", said | {"id": answers[0]}, **{"Idempotency-Key": answers[0]})
    again, same, _ = post(server, "/v1/feedback", said | {"id": answers[0]}, **{"Idempotency-Key": answers[0]})
    assert (status, again) == (201, 200) and kept["number"] == same["number"]
    assert post(server, "/v1/feedback", {"id": answers[1], "rating": 1})[0] == 201

    export(tmp_path, store(project_with_model))
    feedback(tmp_path, path=str(tmp_path / "feedback"))
    rows = {row["answer_id"]: row for row in pl.read_parquet(tmp_path / "feedback.parquet").to_dicts()}
    row = rows[answers[0]]
    expected = said | {name: package[name] for name in ("model", "processor", "config")}
    assert {name: row[name] for name in expected} == expected
    assert row["model"] == artifact.digest(project_with_model / "artifacts/package/model") and row["prompt"] == HELLO
    pair = pl.read_parquet(tmp_path / "preferences.parquet").filter(id=f"feedback/{answers[0]}").to_dicts()[0]
    assert pair["chosen"] == better and pair["rejected"] == row["answer"]


def test_feedback_on_no_answer_and_feedback_that_says_nothing(server):
    assert post(server, "/v1/feedback", {"id": "ans-none", "rating": 1})[0] == 404
    for body in ({"id": "x"}, {"id": "x", "rating": 5}, {"id": "x", "rating": 1, "stars": 5}, {"id": "x", "rating": float("nan")}):
        assert post(server, "/v1/feedback", body)[0] == 400


def test_a_client_that_leaves_stops_its_answer_and_what_was_said_is_kept(server, project_with_model):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    for _attempt in range(5):  # on a busy machine an answer can be whole before the server hears that nobody listens
        stream = client.completions.create(model="fmcycle", prompt="The ", max_tokens=240, stream=True)
        name = next(iter(stream)).id
        stream.close()
        for _ in range(100):
            found = [row for row in store(project_with_model).interactions() if row["answer_id"] == name]
            if found:
                break
            time.sleep(0.1)
        if found[0]["finish"] == "cancelled":
            break
    assert found[0]["finish"] == "cancelled" and found[0]["answer_tokens"] < 240


def test_too_much_at_once_is_told_when_to_come_back(server):
    body = {"prompt": "The ", "max_tokens": 240}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(server, "/v1/completions", body))) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [headers for status, _, headers in answers if status == 429]
    assert refused and all(int(headers["Retry-After"]) >= 1 for headers in refused)
    assert {status for status, _, _ in answers} == {200, 429}


def serve(root, *arguments):
    """`bentoml serve` that is expected to refuse: (exit code, what it printed)."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "bentoml", "serve", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout + done.stderr


def test_a_port_in_use_is_named(server, project_with_model):
    code, said = serve(project_with_model, "--port", str(server.port))
    assert code == 2 and f"port {server.port}" in said and "--port N" in said and "Traceback" not in said


def test_a_corrupt_deployed_model_refuses_to_start_while_the_old_server_answers(server, project_with_model):
    weights = next((project_with_model / "deployed").glob("*/model/model.safetensors"))
    good = weights.read_bytes()
    try:
        weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        code, said = serve(project_with_model, "--port", "0")
        assert code == 2 and "model.safetensors: sha256" in said and "fmcycle deploy" in said
        assert post(server, "/v1/chat/completions", {"messages": HELLO, "max_tokens": 1})[0] == 200
    finally:
        weights.write_bytes(good)


def test_the_entry_imports_no_torch_and_a_bento_is_named_by_content(project_with_model, tmp_path):
    code = "import sys, bento_entry; print('torch' in sys.modules, 'transformers' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(project_with_model / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=project_with_model, capture_output=True, text=True)
    assert done.stdout.strip() == "False False", done.stderr
    shutil.copy(ROOT / "requirements.lock", project_with_model)
    environment = os.environ | {"BENTOML_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "bentoml", "build"]
    first, second = (subprocess.run(command, env=environment, cwd=project_with_model, capture_output=True, text=True) for _ in range(2))
    bentos = [folder.name for folder in (tmp_path / "bentos/fmcycle").iterdir() if folder.is_dir()]
    assert first.returncode == second.returncode == 0 and len(bentos) == 1, first.stderr + second.stderr
    assert f"fmcycle:{bentos[0]} is built already" in second.stdout
    environment = tmp_path / f"bentos/fmcycle/{bentos[0]}/env"
    locked, image = (
        re.findall(r"^[\w.-]+==[^\s;]+|sha256:\w+", file.read_text(), re.M)
        for file in (ROOT / "requirements.lock", environment / "python/requirements.txt")
    )
    assert image[: len(locked)] == locked  # the image installs by the same hashes, and finds them to build source packages too
    assert "UV_BUILD_CONSTRAINT=/home/bentoml/bento/env/python/requirements.txt" in (environment / "docker/Dockerfile").read_text()


@pytest.mark.prove
def test_kill_9_of_the_server_while_feedback_is_written_loses_nothing_acknowledged(start, project_with_model):
    running, acknowledged = start(), []
    name = post(running, "/v1/chat/completions", {"messages": HELLO})[1]["id"]

    def write(part):
        for number in range(1_000):
            key = f"kill-{part}-{number}"
            try:
                if post(running, "/v1/feedback", {"id": name, "rating": 1, "comment": key}, **{"Idempotency-Key": key})[0] == 201:
                    acknowledged.append(key)
            except (OSError, http.client.HTTPException):
                return

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    running.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    with store(project_with_model).engine.connect() as connection:
        kept = {row[0] for row in connection.exec_driver_sql("SELECT comment FROM feedback")}
    assert acknowledged and set(acknowledged) <= kept
