"""A served model computes where local.yaml says, its engine taking device and type where it can."""

import elsewhere
import pytest
import torch

from fmcycle.config import build, compose, selection
from fmcycle.errors import ConfigError, InputError
from fmcycle.serving import place
from fmcycle.serving.probe import ask
from fmcycle.training.trainer import TrainerConfig

ENGINE = {"_target_": "fmcycle.engine.transformers.Transformers", "_partial_": True, "max_tokens": 8}
OWN = """
class Own:
    tasks, takes, processor = ("embed",), ("text",), None

    def __init__(self, folder, size: int = 2):
        self.folder, self.size = folder, size

    def warm_up(self):
        pass

    def embed(self, items):
        import numpy as np

        return np.ones((len(items), self.size)), len(items)
"""


@pytest.fixture
def local(project):
    """local(text): what local.yaml of the project says."""
    return (project / "local.yaml").write_text


def test_without_a_word_it_is_the_cpu(project, local):
    assert place.machine().computes == "cpu-float32"
    local("logger: csv\n")
    assert place.machine().computes == "cpu-float32"


@pytest.mark.parametrize("text", ["trainer: ddp\ntrainer.precision: bf16-mixed", "trainer: {accelerator: auto, precision: bf16-mixed}"])
def test_it_is_the_trainer_that_the_stages_of_this_machine_have(local, text):
    local(text)
    composed = compose.compose(["stage=evaluate", *selection.local()]).machine["trainer"]
    assert place.machine() == build.build(composed)
    assert place.machine().dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("trainer: gpuu", InputError, r"no conf/trainer/gpuu\.yaml"),
        ("trainer.presision: 32-true", InputError, r"trainer\.presision: there is no such key"),
        ("trainer.precision: fp8", InputError, r"trainer\.precision: must be one of"),
        ("trainer.accelerator: null", InputError, r"trainer\.accelerator"),
        ("trainer: gpu", InputError, "torch sees no GPU on this machine"),
        ("- trainer", ConfigError, "key: value"),
        ("trainer: [", ConfigError, "not valid YAML"),
    ],
)
def test_what_can_not_be_is_named(local, monkeypatch, text, error, match):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.mps, "device_count", lambda: 0)
    local(text)
    with pytest.raises(error, match=match):
        place.machine()


def test_the_probe_and_the_served_engine_are_on_the_device(tiny_model, local, monkeypatch):
    with elsewhere.device() as device:
        monkeypatch.setattr(TrainerConfig, "device", device)
        for precision, kind in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
            local(f"trainer: ddp\ntrainer.precision: {precision}\n")
            ask(tiny_model, {"engine": ENGINE, "guardrail": {}})
            model = place.engine(ENGINE, tiny_model).model
            assert (model.device.type, model.dtype) == ("elsewhere", kind)


def test_an_engine_of_a_user_that_takes_no_device_is_built_without(project, tmp_path, monkeypatch):
    (project / "mine").mkdir()
    (project / "mine/__init__.py").write_text("")
    (project / "mine/own.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setattr(build, "user_packages", lambda: ("mine",))
    node = {"_target_": "mine.own.Own", "_partial_": True, "size": 3}
    assert place.engine(node, tmp_path).folder == str(tmp_path)
    ask(tmp_path, {"engine": node, "guardrail": {}})


@pytest.mark.parametrize("key", ["device", "dtype", "folder"])
def test_a_config_does_not_say_where_an_engine_computes(project, key):
    with pytest.raises(ConfigError, match=f"{key} of fmcycle.engine.transformers.Transformers comes from the server"):
        compose.compose(["stage=package", f"+engine.{key}=cuda"])
