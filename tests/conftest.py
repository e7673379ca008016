"""Fixtures for the whole house: the repository's root, and an empty project with its conf/."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A working folder with the repository's conf/ and params.yaml, and nothing made yet."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fmcycle():
    """Run one command line in a process of its own, in the working folder; returns the CompletedProcess."""

    def run(*arguments: str, module: str = "fmcycle.cli", **kwargs) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | kwargs.pop("env", {})
        return subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment, **kwargs)

    return run
