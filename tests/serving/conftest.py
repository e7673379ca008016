"""A small real model, packaged and deployed, and a server over it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.model import store as model_store

ROOT = Path(__file__).parents[2]
TEXT = "The bucket holds objects. A user may list the bucket, and delete an object of it. Write to the owner of the bucket. "


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A model folder: a Llama of two thin layers that has learnt one answer by heart, its BPE and the project's template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fmcycle.processor.bpe import bpe
    from fmcycle.processor.chat import labelled

    processor = bpe([TEXT] * 20, vocab_size=320)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(processor),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
    )
    model = LlamaForCausalLM(config)
    chat = [{"role": "user", "content": "What is a bucket?"}, {"role": "assistant", "content": ANSWER}]
    ids, labels = (torch.tensor([item]) for item in labelled(processor, chat))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("tiny") / "model"
    model_store.save_model(model, processor, folder)
    return folder


ANSWER = "The bucket holds objects. Write to owner@example.com, the owner of the bucket."


def make_package(root, model, value=1.5):
    """artifacts/package of `root`, made by the stage itself."""
    from fmcycle.stage import package

    atomic.write_json(root / "artifacts/evaluate/metrics.json", {"loss": value})
    atomic.write_json(root / "artifacts/evaluate/evaluated.json", {"model": artifact.digest(model)})
    cfg = SimpleNamespace(
        inputs={"model": str(model), "metrics": str(root / "artifacts/evaluate/metrics.json")},
        out=str(root / "artifacts/package"),
        gate={"loss": {"_target_": "fmcycle.gate.bound.Bound", "max": 2.0}},
        engine={"_target_": "fmcycle.engine.transformers.Transformers", "_partial_": True, "max_tokens": 64},
        guardrail=yaml.safe_load((ROOT / "conf/guardrail/default.yaml").read_text()),
    )
    package.run(cfg)


@pytest.fixture(scope="session")
def project_with_model(tmp_path_factory, tiny_model):
    """A folder as a clone has it after `dvc repro`: bentofile, src and a package that passed."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "bentofile.yaml", root)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    make_package(root, tiny_model)
    return root


@pytest.fixture
def deployed(project_with_model, tmp_path):
    """A project of one test's own, with a deployed model."""
    from fmcycle.serving import deploy

    root = tmp_path / "project"
    for name in ("src", "artifacts"):
        shutil.copytree(project_with_model / name, root / name)
    shutil.copy(project_with_model / "bentofile.yaml", root)
    deploy.deploy(root / "artifacts/package", root)
    return root


class Server:
    """`bentoml serve` in a process group of its own, with what it logged."""

    def __init__(self, root: Path, *arguments: str, cwd: Path | None = None, program=("-m", "bentoml", "serve"), **environment: str):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url, self.log = f"http://127.0.0.1:{self.port}", root / f"server-{self.port}.log"
        variables = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "BENTOML_HOME": str(root / ".cache/bentoml")} | environment
        variables.pop("PYTHONPATH", None)
        command = [sys.executable, *program, *arguments, "--port", str(self.port)]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, cwd=cwd or root, env=variables, stdout=log, stderr=log)

    def wait(self, seconds: float = 300):
        """Until /readyz says so. Fails with the log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if urllib.request.urlopen(self.url + "/readyz", timeout=5).status == 200:
                    return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise AssertionError(self.log.read_text())

    def stop(self, how=signal.SIGTERM):
        """End the server and its workers, which have process groups of their own."""
        if self.process.poll() is not None:
            return
        workers = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(how)
        if how == signal.SIGTERM:
            psutil.wait_procs([*workers, self.process], timeout=15)
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def running():
    """`Server`, whose servers are ended at the end."""
    servers = []

    def run(*arguments, **options):
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield run
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def start(project_with_model, running):
    """Start another server over the tiny model."""
    return lambda: running(project_with_model).wait()


@pytest.fixture(scope="session")
def server(start):
    """A running server over the tiny model."""
    return start()


@pytest.fixture(scope="session")
def postgres():
    """A running `Cluster`."""
    from stores import Cluster

    cluster = Cluster()
    yield cluster
    cluster.remove()


GUARDS = {
    "input": [{"_target_": "fmcycle.guardrail.refuse.Refuse", "patterns": ["dog"]}],
    "output": [{"_target_": "fmcycle.guardrail.pii.Mask"}],
}


class Served:
    """A tiny model of a family behind the routes, in this process."""

    def __init__(self, family, folder):
        import families
        import openai
        from starlette.testclient import TestClient

        from fmcycle.engine import fit
        from fmcycle.serving import routes
        from fmcycle.serving.assistant import Assistant
        from fmcycle.serving.store import Store

        families.save(family, folder / "model")
        engine = {"_target_": fit.NAMES[fit.engine_of(folder / "model")[1]], "_partial_": True}
        engine |= {"steps": 2} if family == "diffusion" else {}
        described = model_store.describe(folder / "model")
        package = artifact.tagged(described | {"engine": engine, "guardrail": GUARDS, "config": "c" * 64})
        app = self.app = routes.create()
        app.state.assistant = self.assistant = Assistant(folder / "model", package, Store(f"sqlite:///{folder}/feedback.db"))
        self.http = TestClient(app, base_url="http://test/")
        self.openai = openai.OpenAI(base_url="http://test/v1", api_key="none", max_retries=0, http_client=self.http)

    def kept(self):
        """What the store has kept, the latest last."""
        return list(self.assistant.store.interactions())


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """(family) -> Served; each is made once."""
    made = {}

    def serve(family):
        if family not in made:
            made[family] = Served(family, tmp_path_factory.mktemp(family))
        return made[family]

    return serve


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; of one module, because no event loop can run beside Playwright's."""
    from tests.helpers.browser import chromium

    with chromium() as made:
        yield made


@pytest.fixture(scope="session")
def site(served):
    """(family) -> the address of a server over a tiny model of it, in this process; each is started once."""
    import threading

    import uvicorn

    started = {}

    def serve(family):
        if family not in started:
            server = uvicorn.Server(uvicorn.Config(served(family).app, port=0, log_level="error"))
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            while not server.started:
                time.sleep(0.02)
            started[family] = server, thread
        return f"http://127.0.0.1:{started[family][0].servers[0].sockets[0].getsockname()[1]}/"

    yield serve
    for server, thread in started.values():
        server.should_exit = True
        thread.join()


@pytest.fixture
def shown(browser, site):
    """(family, width) -> the page of a model in a browser of its own, ready; nothing may go wrong in it."""
    opened = []

    def show(family, width=1280):
        page, wrong = browser.new_context(viewport={"width": width, "height": 800}).new_page(), []
        opened.append((page, wrong))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(site(family))
        page.locator("#model", has_text="fmcycle:").wait_for(state="attached")
        return page

    yield show
    for page, wrong in opened:
        page.context.close()
        assert not wrong
