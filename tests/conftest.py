"""Fixtures for the whole house: the repository's root, and an empty project with its conf/."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def signatures(tmp_path_factory) -> Path:
    """The cache that a first command leaves: what the repository's conf/ names of other libraries."""
    from fmcycle.config import library

    texts = [file.read_text() for file in (ROOT / "conf").rglob("*.yaml")]
    for name in {name for text in texts for name in re.findall(r"_target_: ([\w.]+)", text)}:
        library.parameters(name)
    file = tmp_path_factory.mktemp("signatures") / library.cache().name
    file.write_text(json.dumps(library._kept()))
    return file


@pytest.fixture
def project(tmp_path, monkeypatch, signatures) -> Path:
    """A working folder with the repository's conf/ and params.yaml, a cache of signatures, and nothing made yet."""
    (tmp_path / ".cache").mkdir()
    shutil.copy(signatures, tmp_path / ".cache/signatures.json")
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fmcycle():
    """Run one command line in a process of its own, in the working folder; returns the CompletedProcess."""

    def run(*arguments: str, module: str = "fmcycle.cli.main", **kwargs) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | kwargs.pop("env", {})
        return subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment, **kwargs)

    return run


@pytest.fixture(scope="session")
def material(tmp_path_factory) -> Path:
    """A folder with documents, instructions, preferences and prompts (parquet) made of Python's own docstrings, a processor/ and a
    model/ of 0.1 M parameters that has seen them for some seconds."""
    import inspect

    import polars as pl
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from fmcycle.model import store as model_store
    from fmcycle.processor.bpe import bpe
    from fmcycle.processor.chat import render

    folder = tmp_path_factory.mktemp("material")
    texts = {
        f"{kind.__name__}.{name}": inspect.getdoc(getattr(kind, name)) or ""
        for kind in (str, bytes, dict, list, set, int)
        for name in dir(kind)
    }
    rows = [{"id": f"python/{name}", "text": text, "group": name} for name, text in sorted(texts.items()) if len(text) > 40]
    for number, row in enumerate(rows):
        row |= {"source": "python", "licence": "PSF-2.0", "domain": "code", "split": ("train", "test", "train", "validation")[number % 4]}
    pl.DataFrame(rows).write_parquet(folder / "documents.parquet")

    def ask(row):
        return [{"role": "user", "content": f"What does {row['group']} do?"}]

    first = [row["text"].split("\n")[0] for row in rows]
    instructions = [
        {
            "id": row["id"],
            "split": row["split"],
            "task": ("method", "type")[row["group"] > "int"],
            "messages": [*ask(row), {"role": "assistant", "content": line}],
        }
        for row, line in zip(rows, first, strict=True)
    ]
    pl.DataFrame(instructions).write_parquet(folder / "instructions.parquet")
    pairs = [
        {"id": row["id"], "split": row["split"], "prompt": ask(row), "chosen": line, "rejected": line[::-1]}
        for row, line in zip(rows, first, strict=True)
    ]
    pl.DataFrame(pairs).write_parquet(folder / "preferences.parquet")
    asked = [
        {"id": f"p/{n}", "text": row["text"][:40], "kind": ("harmful", "harmless", "toxic")[n % 3], "split": "test"}
        for n, row in enumerate(rows[:30])
    ]
    pl.DataFrame(asked).write_parquet(folder / "prompts.parquet")
    processor = bpe([row["text"] for row in rows], vocab_size=512)
    torch.manual_seed(0)
    special = {"bos_token_id": processor.bos_token_id, "eos_token_id": processor.eos_token_id, "pad_token_id": processor.pad_token_id}
    model = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            vocab_size=512,
            max_position_embeddings=128,
            **special,
        )
    )
    rendered = [ids for row in instructions for ids in render(processor, row["messages"])]
    stream = torch.tensor(rendered[: len(rendered) // 128 * 128]).view(-1, 128)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        batch = stream[torch.arange(step * 8, step * 8 + 8) % len(stream)]
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    processor.save_pretrained(folder / "processor")
    model_store.save_model(model, processor, folder / "model")
    return folder


@pytest.fixture
def make_wheel(tmp_path):
    """Tiny wheels: make_wheel(name, {member: text or bytes}, ...) -> (file, {"name", "version", "sha256"})."""

    def make(name: str, members: dict, folder=None, version: str = "1.0", licence: str | None = "MIT License, word for word"):
        folder = folder or tmp_path / "registry"
        folder.mkdir(parents=True, exist_ok=True)
        stem = name.replace("-", "_")
        info = f"{stem}-{version}.dist-info"
        metadata = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n\nLong description\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        if licence:
            metadata[f"{info}/licenses/LICENSE.txt"] = licence
        file = folder / f"{stem}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as wheel:
            for member, content in {**members, **metadata}.items():
                wheel.writestr(member, content)
        return file, {"name": name, "version": version, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}

    return make


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty download cache, and a pip that reaches nothing."""
    monkeypatch.setenv("FMCYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "cache" / "downloads"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine that the processes of this test ask, with empty caches."""
    from hub_server import hub_server

    from fmcycle.artifact import hub as ours

    for name in (*ours.SET, ours.CLOSED, "HF_TOKEN", "DVC_STAGE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("FMCYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # this hub takes files as Git LFS does
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


@pytest.fixture(scope="session")
def assistant(material):
    """(model, processor) of `material`, loaded once."""
    from fmcycle.model import store as model_store

    return model_store.load_model(material / "model")
