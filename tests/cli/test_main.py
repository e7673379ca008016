import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fmcycle.cli import command_line, main
from fmcycle.config import grammar, groups, selection
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
    assert grammar.flatten({"a": {"b": None, "c": [1, "x y"], "d": True, "e": "p/q-r.s"}}) == [
        "a.b=null",
        "a.c=[1,'x y']",
        "a.d=true",
        "a.e=p/q-r.s",
    ]


def test_a_full_disk_is_one_message_and_nothing_half_written_stays(project, fmcycle):
    rows = [
        {"text": f"{word} is what the document number {word} says, and it says so in a whole sentence."} for word in map(str, range(300))
    ]
    (project / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    small = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))}  # no file may grow beyond this
    found = fmcycle("curate", "inputs.data=mine.jsonl", **small)
    assert found.returncode == 1 and "Traceback" not in found.stderr, found.stderr
    assert re.search(r"^\S+: no space left on the disk \([\d,]+ MB free\); delete runs in runs/", found.stderr, re.M), found.stderr
    assert not [path for path in project.rglob("*") if "partial" in path.name]


def test_the_pythons_are_those_of_pyproject(root):
    asked = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (root / "pyproject.toml").read_text())
    assert [(3, minor) for minor in range(int(asked[1]), int(asked[2]))] == [*main.PYTHONS]
    assert not main.unable(sys.version_info[:2], main.NEEDED)


def test_another_python_or_none_of_the_packages_is_one_sentence(tmp_path):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    code = f"import os, sys; os.chdir({str(tmp_path)!r}); from fmcycle.cli import main; "
    source = {"PYTHONPATH": str(Path(main.__file__).parents[2])}
    for start in ("sys.version_info = (3, 13, 0, 'final', 0)", "pass"):
        flags = ["-I", "-S"] if start == "pass" else []  # without its packages
        path = f"import sys; sys.path.insert(0, {source['PYTHONPATH']!r}); " if flags else ""
        line = f"{path}{code}{start}; sys.exit(main.main(['train']))"
        found = subprocess.run([sys.executable, *flags, "-c", line], capture_output=True, text=True, env=source)
        assert found.returncode == 2 and len(found.stderr.splitlines()) == 1, found.stderr
        assert ("has no yaml, hydra" if flags else "needs Python 3.11 or 3.12, and") in found.stderr
        assert "run `. .venv/bin/activate`, then the same command again" in found.stderr


def test_an_installed_package_without_its_needs_says_how_to_install_it(tmp_path, root):
    shutil.copytree(root / "src/fmcycle/cli", tmp_path / "lib/python/site-packages/fmcycle/cli")
    shutil.copy(root / "src/fmcycle/__init__.py", tmp_path / "lib/python/site-packages/fmcycle")
    line = f"import sys; sys.path.insert(0, {str(tmp_path / 'lib/python/site-packages')!r}); from fmcycle.cli import main; "
    command = [sys.executable, "-I", "-S", "-c", f"{line}sys.exit(main.main(['train']))"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 2 and len(found.stderr.splitlines()) == 1, found.stderr
    assert main.INSTALL in found.stderr and "make setup" not in found.stderr


@pytest.mark.parametrize("minor", [7, 8, 9, 10, 13, 14])
def test_a_real_python_of_another_version_says_so(minor, root):
    names = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")]
    found = [subprocess.run([name, root / "train.py"], capture_output=True, text=True, env={}) for name in names if name]
    found = [each for each in found if "pyenv" not in each.stderr[:6]]  # a shim without a version behind it
    if not found:
        pytest.skip(f"no Python 3.{minor} on this machine")
    for each in found:
        assert each.returncode == 2 and each.stderr.startswith("fmcycle needs Python 3.11 or 3.12, and "), each.stderr


def test_a_reader_that_is_gone_is_no_traceback(project, root):
    """As `fmcycle --help | head -1`, with a reader that ends before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    for words in (["--help"], ["models"], ["finetune", "--cfg", "job"], ["completion", "bash"]):
        done = subprocess.run(
            [sys.executable, "-m", "fmcycle.cli.main", *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(root / "src")},
        )
        assert done.returncode in (1, 128 + signal.SIGPIPE) and not done.stderr, words  # 1: of rich
    os.close(writer)
    shell = ["sh", "-c", f"{sys.executable} -m fmcycle.cli.main --help >&-"]
    done = subprocess.run(shell, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(root / "src")})
    assert (done.returncode, done.stderr) == (0, "")
