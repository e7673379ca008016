import subprocess
import sys

import pytest

from fmcycle.cli import command_line
from fmcycle.config import groups, selection
from fmcycle.errors import ConfigError


def test_config_views_import_no_torch(project, root):
    code = (
        "import sys; from fmcycle.cli import main; code = main.main(['train', '--cfg', 'job']);"
        "heavy = {'torch', 'lightning', 'transformers', 'peft', 'torchmetrics'} & set(sys.modules);"
        "sys.exit(code or str(heavy) if code or heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root / "src")})
    assert result.returncode == 0, result.stderr
    assert "_target_: fmcycle.stage.train.run" in result.stdout and "strategy:" in result.stdout


def test_help_names_every_stage_and_imports_nothing_heavy(project, root):
    heavy = "{'hydra', 'omegaconf', 'torch', 'polars'}"
    code = f"import sys; from fmcycle.cli import main; main.main(['--help']); sys.exit(bool({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root / "src")})
    assert result.returncode == 0
    assert all(stage in result.stdout for stage in groups.stages())


def test_a_mistyped_verb_is_refused_with_the_nearest(project, fmcycle):
    result = fmcycle("evaluat")
    assert result.returncode == 2 and "did you mean evaluate?" in result.stderr


def test_selection_stands_before_the_command_line_and_local_settings_before_both(project):
    (project / "params.yaml").write_text(
        "model: gpt_small\nstages: {finetune: {strategy: full}}\noverrides: {finetune: {optimizer: {lr: 0.1}}}\n"
    )
    (project / "local.yaml").write_text("trainer: cpu\ntrainer.devices: 2\n")
    flags, overrides = command_line.expand(["selection=params.yaml", "strategy=lora", "--cfg", "job"])
    assert flags == ["--cfg", "job"]
    assert overrides == ["trainer=cpu", "trainer.devices=2", "model=gpt_small", "optimizer.lr=0.1", "strategy=lora"]


def test_local_settings_decide_no_result(project):
    (project / "local.yaml").write_text("model: gpt_small\n")
    with pytest.raises(ConfigError, match="not a machine setting"):
        selection.local()


@pytest.mark.parametrize("flag", ["--config-dir=/tmp", "--config-path=/tmp", "--config-name=other"])
def test_configs_come_from_nowhere_else(project, flag):
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        command_line.expand([flag])


def test_params_yaml_is_checked_too(project):
    (project / "params.yaml").write_text("modell: llama_small\nstages: {finetun: {}}\n")
    with pytest.raises(ConfigError, match=r"modell: no such group in params\.yaml; did you mean model"):
        selection.selection("finetune")
    (project / "params.yaml").write_text("stages: {finetun: {}}\n")
    with pytest.raises(ConfigError, match="did you mean finetune"):
        selection.selection("finetune")


def test_values_keep_their_type_on_the_way_through_params(project):
    assert selection.flatten({"a": {"b": None, "c": [1, "x y"], "d": True, "e": "p/q-r.s"}}) == [
        "a.b=null",
        "a.c=[1,'x y']",
        "a.d=true",
        "a.e=p/q-r.s",
    ]
