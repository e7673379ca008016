"""Whatever keeps a deployed model from being served is one sentence."""

import json
import os
import subprocess
import sys

import pytest
from packages import repackaged
from stores import locked

from fmcycle.errors import InputError
from fmcycle.serving.load import load
from fmcycle.serving.store import Store

ENGINE = {"_target_": "fmcycle.engine.transformers.Transformers", "_partial_": True}


def refused(root, why):
    with pytest.raises(InputError, match=why) as error:
        load(root, root)
    assert "\n" not in str(error.value)


def model_of(root):
    return next((root / "deployed").glob("*/model"))


def test_what_is_deployed_is_loaded_and_warm(deployed):
    assert load(deployed, deployed).engine.tasks and (deployed / "store/feedback.db").is_file()


@pytest.mark.parametrize("engine", [ENGINE | {"most_tokens": 5}, {"_target_": "fmcycle.engine.none.None"}])
def test_an_engine_that_can_not_be_made(deployed, engine):
    repackaged(deployed, engine=engine)
    refused(deployed, "most_tokens|fmcycle.engine.none")


def test_an_engine_that_does_not_read_this_model(deployed):
    repackaged(deployed, engine={"_target_": "fmcycle.engine.diffusion.Diffusion", "_partial_": True})
    refused(deployed, "deployed/")


def test_weights_that_fit_nothing(deployed):
    import torch
    from safetensors.torch import load_file, save_file

    file = model_of(deployed) / "model.safetensors"
    save_file({name: torch.zeros(3) if "q_proj" in name else value for name, value in load_file(file).items()}, file)
    repackaged(deployed)
    refused(deployed, "weights do not fit")


@pytest.mark.parametrize(
    ("name", "content"), [("tokenizer.json", "{}"), ("config.json", '{"architectures": ["None"]}'), ("model.safetensors", "x")]
)
def test_a_file_that_no_library_reads(deployed, name, content):
    (model_of(deployed) / name).write_text(content)
    repackaged(deployed)
    refused(deployed, r"deployed/.*(can't be read|names no model|config)")


def test_too_little_memory(deployed):
    environment = os.environ | {"PYTHONPATH": str(deployed / "src"), "OMP_NUM_THREADS": "1"}
    command = ["prlimit", "--as=900000000", sys.executable, "-m", "fmcycle.serving.load", str(deployed), str(deployed)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and str(deployed / "deployed") in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_a_store_that_is_locked_or_none(deployed, tmp_path, monkeypatch):
    Store(f"sqlite:///{tmp_path}/a.db").close()
    monkeypatch.setenv("FMCYCLE_STORE", f"sqlite:///{tmp_path}/a.db")
    with locked(tmp_path / "a.db"):
        refused(deployed, r"a\.db: the feedback store can't be .*locked.*FMCYCLE_STORE")
    (tmp_path / "a.db").write_text(json.dumps(["no database"] * 1000))
    refused(deployed, r"a\.db: the feedback store can't be opened")
