"""`make setup`, `make audit` and `make lock` on a project of four tiny packages, from a folder or an index on this machine."""

import datetime
import json
import shutil
import subprocess
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from small_project import PYPROJECT, ROOT, make, offline, package_index, pin, sha256, small_project, tools, versions, wheel, wheel_of_pip


@pytest.fixture
def index(tmp_path):
    """(address, add) of an index, as package_index has it."""
    with package_index(tmp_path / "index") as served:
        yield served


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> tuple[Path, str]:
    """A project after `make setup`, and the first lines of its lock: torch, pip, setuptools."""
    project = small_project(tmp_path_factory.mktemp("setup") / "project")
    wheels = project / "wheels"
    wheel(wheels, "torch", "2.13.0+cpu")
    top = "torch==2.13.0\n" + pin(wheel_of_pip(wheels)) + pin(wheel(wheels, "setuptools", "99.0"))
    (project / "requirements.lock").write_text(top + pin(wheel(wheels, "demo", "1.0")))
    code, said = make(project, "setup", **offline(project))
    assert code == 0, said
    return project, top


def test_setup_installs_what_the_lock_pins_and_a_second_time_nothing(installed):
    project, _ = installed
    expected = {"pip": metadata.version("pip"), "setuptools": "99.0", "demo": "1.0", "torch": "2.13.0+cpu", "fmcycle": "0"}
    assert versions(project) == expected
    code, said = make(project, "setup", **offline(project))
    assert code == 0 and "Nothing to be done" in said


def test_setup_refuses_another_file_and_says_what_to_do(installed):
    project, top = installed
    wheel(project / "wheels", "demo", "1.1")
    (project / "requirements.lock").write_text(top + f"demo==1.1 \\\n    --hash=sha256:{'0' * 64}\n")
    before = versions(project)
    code, said = make(project, "setup", **offline(project))
    assert code and "DO NOT MATCH THE HASHES" in said and "docs/security.md" in said and versions(project) == before, said


@pytest.mark.parametrize("line", ["demo==1.0\n", "lightning==2.6.2 \\\n    --hash=sha256:" + "0" * 64 + "\n"])
def test_setup_refuses_a_bad_lock_before_it_makes_an_environment(tmp_path, line):
    project = small_project(tmp_path / "project")
    lines = (f"{name}==1 \\\n    --hash=sha256:{'0' * 64}\n" for name in ("pip", "setuptools"))
    (project / "requirements.lock").write_text("torch==2.13.0\n" + "".join(lines) + line)
    code, said = make(project, "setup", **offline(project))
    assert code and ("has no hash" in said or "carried malware" in said) and not (project / ".venv").exists()


def test_setup_leaves_another_build_of_torch(installed):
    project, top = installed
    gpu = wheel(project, "torch", "2.13.0+cu128")
    command = [project / ".venv/bin/python", "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--force-reinstall", gpu]
    subprocess.run(command, check=True, capture_output=True)
    (project / "requirements.lock").write_text(top + pin(wheel(project / "wheels", "demo", "1.2")))
    code, said = make(project, "setup", **offline(project))
    assert code == 0 and (versions(project)["torch"], versions(project)["demo"]) == ("2.13.0+cu128", "1.2"), said


@pytest.mark.parametrize(("days", "accelerator"), [(30, "1.0"), (None, "1.1")])
def test_what_torch_brings_is_older_than_seven_days_if_the_index_tells(installed, tmp_path, index, days, accelerator):
    project, top = installed
    address, add = index
    add(wheel(tmp_path, "torch", "2.13.0", requires="cuda"), days)
    add(wheel(tmp_path, "cuda", "1.0"), days)
    add(wheel(tmp_path, "cuda", "1.1"), days and 1)
    uninstall = [project / ".venv/bin/python", "-m", "pip", "uninstall", "-q", "-y", "torch", "cuda"]
    subprocess.run(uninstall, check=True, capture_output=True)
    (project / "requirements.lock").write_text(top + pin(project / "wheels/demo-1.0-py3-none-any.whl") + f"# {days}\n")
    found = {"PIP_FIND_LINKS": str(project / "wheels"), "PIP_INDEX_URL": address, "PIP_NO_CACHE_DIR": "1"}
    (project / "wheels/torch-2.13.0+cpu-py3-none-any.whl").unlink(missing_ok=True)
    code, said = make(project, "setup", **found)
    assert code == 0 and (versions(project)["torch"], versions(project)["cuda"]) == ("2.13.0", accelerator), said
    assert ("without the wait of seven days" in said) == (days is None)


needs_tools = pytest.mark.skipif(not list(ROOT.glob(".cache/tools/.installed-*")), reason="`make audit` installs uv and cyclonedx-py")


@needs_tools
def test_audit_writes_an_sbom_and_refuses_a_planted_file_that_it_does_not_run(installed):
    project, top = installed
    (project / "requirements.lock").write_text(top + pin(project / "wheels/demo-1.0-py3-none-any.whl"))
    tools(project)
    code, said = make(project, "audit", **offline(project))
    assert code == 0, said
    sbom = json.loads((project / ".cache/sbom.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX" and versions(project).items() >= {
        (each["name"], each["version"]) for each in sbom["components"]
    }
    assert {"demo", "torch", "pip"} <= {each["name"] for each in sbom["components"]}

    site = next((project / ".venv").glob("lib/python*/site-packages"))
    (site / "planted.pth").write_text(f"import pathlib; pathlib.Path({str(project / 'it ran')!r}).touch()\n")
    code, said = make(project, "audit", **offline(project), PYTHON="python3")  # that of .venv, as `make audit` has it
    (site / "planted.pth").unlink()
    assert code and "planted.pth: runs whenever Python starts" in said and not (project / "it ran").exists()


@needs_tools
def test_lock_takes_all_hashes_and_holds_back_what_is_younger_than_seven_days(tmp_path, index):
    address, add = index
    project = small_project(tmp_path / "project")

    def lock(**variables: str) -> tuple[int, str]:
        tools(project)
        return make(project, "lock", PIP_INDEX_URL=address, **variables)

    old, week, fresh = (add(wheel(project / "wheels", "demo", version), days) for version, days in (("1.0", 30), ("1.1", 8), ("1.2", 6)))
    late = project / "wheels/demo-1.0-py2-none-any.whl"  # one more file for an old release
    shutil.copy(old, late)
    with zipfile.ZipFile(late, "a") as file:
        file.writestr("more.py", "")
    add(late, 1)
    pip, setuptools, _ = (
        add(wheel(project / "wheels", *each), 90) for each in (("pip", "26.3"), ("setuptools", "84.0"), ("torch", "2.13.0"))
    )
    add(wheel(project / "wheels", "torch", "2.14.0"), 90)
    top = "# the lock\ntorch==2.13.0\n"
    (project / "requirements.lock").write_text(f"{top}{pin(old)}")

    code, said = lock()
    assert code == 0, said
    assert (project / "requirements.lock").read_text() == top + pin(old) + pin(pip) + pin(setuptools)
    assert "demo==1.1" in (project / ".ci/tools.lock").read_text() and str(sha256(fresh)) not in (project / ".ci/tools.lock").read_text()
    assert address not in (project / "requirements.lock").read_text() + (project / ".ci/tools.lock").read_text()

    code, said = lock(UPGRADE="demo")
    assert code == 0 and (project / "requirements.lock").read_text() == top + pin(week) + pin(pip) + pin(setuptools), said

    before = (project / "requirements.lock").read_text()
    (project / "pyproject.toml").write_text(PYPROJECT.replace('"demo", "torch', '"demo>=1.2", "torch'))
    code, said = lock()
    assert code and "demo>=1.2" in said and "Traceback" not in said, said
    assert (project / "requirements.lock").read_text() == before

    today = datetime.datetime.now(datetime.UTC).isoformat()  # a fix that can't wait, as docs/security.md lets it through
    with open(project / "pyproject.toml", "a") as settings:
        settings.write(f'[tool.uv.exclude-newer-package]\ndemo = "{today}"\n')
    code, said = lock()
    assert code == 0 and (project / "requirements.lock").read_text() == top + pin(fresh) + pin(pip) + pin(setuptools), said
