"""`fmcycle doctor`: one table of the machine and the project; exit code 2 only for what every command needs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fmcycle.cli import completion, doctor, verbs

FOUND = {"version": "2.13.0", "built": "CUDA 13.0", "devices": ["NVIDIA H200, 141 GB"], "threads": 1}


def test_it_shows_every_part_and_imports_no_torch_itself(project):
    code = "import sys; from fmcycle.cli import main; code = main.main(['doctor']); sys.exit(code or 'torch' in sys.modules)"
    source = {"PYTHONPATH": str(Path(doctor.__file__).parents[2]), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=source)
    assert done.returncode == 0, done.stderr
    for part in ("Python", "torch", "devices", "cores", "memory", "disk of runs/", "disk of DVC cache", "git", "DVC", "project"):
        assert f"\n{part} " in f"\n{done.stdout}", part
    assert sys.version.split()[0] in done.stdout and sys.executable in done.stdout and "built for" in done.stdout
    assert not (project / "runs").exists()


def test_a_folder_without_a_project_is_told_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "torch", lambda: FOUND)
    assert doctor.main([]) == 0
    assert "make one: `fmcycle init NAME`" in capsys.readouterr().out


def test_a_torch_that_is_not_importable_is_broken(project, tmp_path, fmcycle):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/torch.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')\n")
    source = str(Path(doctor.__file__).parents[2])
    done = fmcycle("doctor", env={"PYTHONPATH": f"{tmp_path / 'broken'}:{source}"})
    assert "not importable: ImportError: libcudart.so.13" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 2 and "BROKEN: `make setup`" in done.stdout


def test_what_will_be_slow_is_said(project, monkeypatch):
    monkeypatch.setattr(doctor.threads, "cores", lambda: 4)
    rows = {row.name: row for row in doctor.compute(FOUND)}
    assert "choose trainer=gpu" in rows["devices"].slow and "1 of 4 cores compute" in rows["cores"].slow
    (project / "local.yaml").write_text("trainer: gpu\n")
    assert not {row.name: row for row in doctor.compute(FOUND)}["devices"].slow
    blind = {row.name: row for row in doctor.compute(FOUND | {"devices": []})}
    assert "sees no device" in blind["devices"].slow
    monkeypatch.setattr(doctor.memory, "free", lambda: 10**9)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil_usage(10**9))
    assert all(row.slow for row in doctor.space())


def shutil_usage(free: int):
    return type("usage", (), {"free": free})


def test_git_and_dvc(project):
    assert [row.found for row in doctor.project()][1:] == ["no repository", "no pipeline"]
    for words in (["init", "-q"], ["add", "params.yaml"], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first"]):
        subprocess.run(["git", *words], check=True)
    with open(project / "params.yaml", "a") as file:
        file.write("\n")
    (project / ".dvc").mkdir()
    (project / "dvc.yaml").write_text("stages: {a: {cmd: x}, b: {cmd: x}}\n")
    (project / "dvc.lock").write_text("stages: {a: {cmd: x}}\n")
    found = {row.name: row.found for row in doctor.project()}
    assert found["git"].endswith(", 1 changed file") and found["DVC"] == "1 of 2 stages in dvc.lock"


def test_every_extra_is_told_with_what_needs_it(root, monkeypatch):
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.OPTIONAL) == set(extras) - {"test"}
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    assert [row.name for row in doctor.packages()] == [f"package {extra}" for extra in doctor.OPTIONAL]


def test_the_command_for_a_package_needs_no_clone(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["polars>=2", "ray>=2.56; extra == 'ray'", "wandb>=0.31; extra == 'wandb'"])
    assert doctor.install("ray") == "pip install 'ray>=2.56'"


def test_help_and_completion_have_it(project):
    assert "doctor" in completion.offers(["doc"]) and "what is broken" in verbs.overview()
    with pytest.raises(ValueError, match="usage: fmcycle doctor"):
        doctor.main(["x"])
