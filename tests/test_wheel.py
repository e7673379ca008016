"""The wheel is enough: it holds every file that the code reads, and works in an empty folder without the sources."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what the wheel holds, and nothing else of this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_has_every_file_of_the_package_and_of_conf(installed):
    files = {file.relative_to(ROOT / "src") for file in (ROOT / "src/fmcycle").rglob("*") if file.is_file()}
    files |= {Path("fmcycle/conf") / file.relative_to(ROOT / "conf") for file in (ROOT / "conf").rglob("*.yaml")}
    left_out = {file for file in files if "__pycache__" not in file.parts and not (installed / file).is_file()}
    assert not left_out


def test_it_makes_and_composes_a_project_in_an_empty_folder(installed, tmp_path, signatures):
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "FMCYCLE_CACHE": str(signatures.parent)}

    def run(*words: str, cwd: Path = tmp_path) -> str:
        done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", "import fmcycle.config.build as it; print(it.__file__, it.conf_dir())").split() == [
        str(installed / "fmcycle/config/build.py"),
        str(installed / "fmcycle/conf"),
    ]
    fmcycle = ("-m", "fmcycle.cli.main")
    assert run(*fmcycle, "--version").startswith("fmcycle 0.")
    run(*fmcycle, "init", "--template", "classifier", "mine")
    assert "artifacts/config.yaml" in run(*fmcycle, "compose", cwd=tmp_path / "mine")
    own = run("train.py", "stage=pretrain", "selection=params.yaml", "--cfg", "job", "--package", "model", cwd=tmp_path / "mine")
    assert "ModernBertForSequenceClassification" in own and "num_labels: 2" in own
    code = "import serve; print(serve.service.name)"
    assert run("-c", code, cwd=tmp_path / "mine").strip().splitlines()[-1] == "fmcycle"
