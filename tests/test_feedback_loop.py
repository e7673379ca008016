"""The whole loop: lifecycle, served model, an answer corrected, exported, and exactly what reads feedback runs again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import openai
import polars as pl
import pytest
import tiny
import yaml

READERS = ["collect", "curate", "finetune", "align", "select", "compress", "evaluate", "package", "monitor"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(folder, port: int) -> subprocess.Popen:
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path,
        "BENTOML_HOME": str(folder / ".cache/bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
    }
    log = open(folder / "serve.log", "a")  # noqa: SIM115  the server writes it as long as it lives
    command = ["bentoml", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
            return process
        except OSError:
            assert process.poll() is None, (folder / "serve.log").read_text()[-3000:]
            time.sleep(0.5)
    stop(process)
    raise AssertionError((folder / "serve.log").read_text()[-3000:])


def stop(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)


def gate(folder, bound: float) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["overrides"]["package"] = {"gate": {"bits_per_byte": {"max": bound}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def repro(folder) -> list[str]:
    result = tiny.run(folder, "dvc", "repro")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return [line.split("'")[1] for line in result.stdout.splitlines() if line.startswith("Running stage")]


@pytest.mark.prove
def test_from_a_correction_to_the_next_model_and_a_refused_one_never_takes_it_down(tmp_path):
    folder = tiny.make(tmp_path / "project")
    repro(folder)
    port = free_port()
    server = serve(folder, port)
    try:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
        question = [{"role": "user", "content": "What does heappush do?"}]
        asked = []
        while not asked or not asked[-1].choices[0].message.content.strip():  # a blank answer is none to prefer another to
            assert len(asked) < 20
            about = {"max_tokens": 12, "temperature": 1, "seed": len(asked)}
            asked.append(client.chat.completions.create(model="fmcycle", messages=question, **about))
        answer = asked[-1]
        body = {"id": answer.id, "rating": -1, "corrected": "Pushes an item onto the heap.", "preferred": "corrected", "role": "expert"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/feedback", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        assert urllib.request.urlopen(request).status == 201
    finally:
        stop(server)
    exported = tiny.run(folder, sys.executable, "-m", "fmcycle.cli.main", "feedback", "export", env={"PYTHONPATH": str(folder / "src")})
    assert exported.returncode == 0, exported.stderr

    before = (folder / "data.dvc").read_text()
    stale = repro(folder)
    assert set(stale) <= set(READERS) and {"collect", "curate", "finetune", "align"} <= set(stale), stale
    assert (folder / "data.dvc").read_text() != before
    rows = pl.read_parquet(folder / "artifacts/curate/instructions.parquet").filter(pl.col("source") == "feedback")
    assert rows["messages"].to_list()[0][-1]["content"] == "Pushes an item onto the heap."
    assert json.loads((folder / "artifacts/monitor/findings.json").read_text())["interactions"] == len(asked)
    assert repro(folder) == []

    served = (folder / "deployed.json").read_text()
    gate(folder, 0.5)
    assert repro(folder) == ["compose", "package"]
    verdict = tiny.run(folder, sys.executable, "-m", "fmcycle.cli.main", "gate", env={"PYTHONPATH": str(folder / "src")})
    assert verdict.returncode == 3 and "misses by" in verdict.stderr + verdict.stdout
    server = serve(folder, port)
    try:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
        assert client.chat.completions.create(model="fmcycle", messages=question, max_tokens=4).id
        assert (folder / "deployed.json").read_text() == served, "the model that served before still serves"
    finally:
        stop(server)
