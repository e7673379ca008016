"""What `make audit` refuses: each test plants one thing in a lock, in an environment or in an SBOM."""

import json
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HASH = " \\\n    --hash=sha256:" + "0" * 64
DISTUTILS = (  # setuptools' own file, whose digest stands in .ci/supply.toml
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim(); \n"
)


def audit(*arguments, root: Path = ROOT, python=sys.executable) -> tuple[int, str]:
    """Exit code and standard error of the audit."""
    done = subprocess.run([python, "-I", "-S", ".ci/audit.py", *map(str, arguments)], cwd=root, capture_output=True, text=True)
    return done.returncode, done.stderr


def installed(folder: Path, **versions: str) -> Path:
    """site-packages of an environment in `folder` with setuptools' start-up file and what is named; an underscore stands for a hyphen."""
    site = folder / "lib/python3.11/site-packages"
    for name, version in versions.items():
        (site / f"{name}-{version}.dist-info").mkdir(parents=True)
        (site / f"{name}-{version}.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (site / "distutils-precedence.pth").write_text(DISTUTILS)
    return site


def test_the_locks_of_the_project_pass():
    assert audit("--lock", "requirements.lock", "--lock", ".ci/tools.lock") == (0, "")


def test_the_locks_name_no_address():
    assert not [lock for lock in ("requirements.lock", ".ci/tools.lock") if re.search(r"https?:|file:", (ROOT / lock).read_text())]


def test_every_requirement_of_the_project_is_pinned_within_its_range():
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.M))
    asked = [*about["project"]["dependencies"], *about["project"]["optional-dependencies"]["test"], *about["dependency-groups"]["build"]]
    for requirement in map(Requirement, asked):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (r"^lightning==2.6.6", "lightning==2.6.2", "lightning 2.6.2 carried malware"),
        (r"^lightning==2.6.6", "lightning==2.6.3", "lightning 2.6.3 carried malware"),
        (r"^lightning==2.6.6", "lightning==2.6.1", "lightning 2.6.1 has a known vulnerability, 2.6.6 has not"),
        (r"^lightning==2.6.6", "lightning==2.6.6rc1", "lightning 2.6.6rc1 has a known vulnerability"),
        (r"^transformers==5.23.0", "transformers==5.9.0", "transformers 5.9.0 has a known vulnerability, 5.10 has not"),
        (r"\Z", f"LiteLLM==1.82.8{HASH}\n", "LiteLLM 1.82.8 carried malware"),
        (r"\Z", "left-pad==1.0\n", "left-pad==1.0 has no hash"),
        (r"\Z", f"left-pad>=1.0{HASH}\n", "`left-pad>=1.0 --hash"),
        (r"\Z", f"left-pad==1.0{HASH[:-1]}\n", "`left-pad==1.0 --hash"),
        (r"\Z", f"left-pad==1.0{HASH.replace('sha256', 'md5')}\n", "`left-pad==1.0 --hash"),
        (r"\Z", f"left-pad @ https://example.org/left-pad.zip{HASH}\n", "`left-pad @ https"),
        (r"\Z", "--extra-index-url https://example.org/simple\n", "`--extra-index-url"),
        (r"\Z", "-r other.txt\n", "`-r other.txt`"),
        (r"^torch==2.13.0", "torch==2.13.0+cu128", "names one build of torch; write torch==2.13.0"),
        (r"^torch==2.13.0", f"torch==2.13.0{HASH}", "names one build of torch"),
        (r"^torch==2.13.0\n", "", "torch is missing"),
        (r"^pip==", "pop==", "pip is missing"),
    ],
)
def test_a_lock_with_one_bad_line_is_refused(tmp_path, before, after, problem):
    lock = tmp_path / "requirements.lock"
    text = (ROOT / "requirements.lock").read_text()
    lock.write_text(re.sub(before, lambda _: after, text, count=1, flags=re.M))
    assert lock.read_text() != text
    code, said = audit("--lock", lock)
    assert code == 2 and problem in said and len(said.splitlines()) == 1, said


def test_a_lock_that_is_empty_or_gone_is_refused(tmp_path):
    (tmp_path / "tools.lock").write_text("# nothing\n")
    for name, problem in (("tools.lock", "everything is missing"), ("gone.lock", "is missing")):
        code, said = audit("--lock", tmp_path / name)
        assert code == 2 and problem in said and "take" in said


def test_a_clean_environment_passes(tmp_path):
    site = installed(
        tmp_path, setuptools="84.2.1", lightning="2.6.6", litellm="1.82.9", hydra_core="1.3.8", bentoml="1.4.39.post1", torch="2.13.0+cpu"
    )
    (site / "_editable_impl_fmcycle.pth").write_text(f"{ROOT / 'src'}\n")
    assert audit("--environment", tmp_path) == (0, "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("litellm_init.pth", "import os, subprocess\n"),
        (".hidden.pth", "import os\n"),
        ("distutils-precedence.pth", DISTUTILS + "import evil\n"),
        ("_editable_impl_fmcycle.pth", "/somewhere/else\n"),
        ("_editable_impl_fmcycle.pth", f"{ROOT / 'src'}\nimport evil\n"),
        ("sitecustomize.py", "import evil\n"),
        ("usercustomize.cpython-311-x86_64-linux-gnu.so", "\x7fELF"),
        ("sitecustomize/__init__.py", "import evil\n"),
    ],
)
def test_an_unknown_file_that_runs_when_python_starts_is_refused(tmp_path, name, content):
    site = installed(tmp_path, setuptools="84.2.1")
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_text(content)
    code, said = audit("--environment", tmp_path)
    assert code == 2 and f"{site / name.split('/')[0]}: runs whenever Python starts" in said and "docs/security.md" in said


def test_the_line_that_the_refusal_hands_over_makes_the_file_known(tmp_path):
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (installed(tmp_path / ".venv", coverage="7.12") / "a1_coverage.pth").write_text("import sys; sys.modules\n")
    code, said = audit("--environment", ".venv", root=tmp_path)
    assert code == 2
    with open(tmp_path / ".ci/supply.toml", "a") as known:
        known.write(re.search("`(.*)`", said)[1] + "\n")
    assert audit("--environment", ".venv", root=tmp_path) == (0, "")


def test_a_planted_file_does_not_run_while_it_is_looked_for(tmp_path):
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    (site / "planted.pth").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'it ran')!r}).touch()\n")
    (site / "demo-1.0.dist-info").mkdir()
    (site / "demo-1.0.dist-info/METADATA").write_text("Name: demo\nVersion: 1.0\n")
    code, said = audit("--environment", tmp_path / "venv", python=python)
    assert code == 2 and "planted.pth" in said and not (tmp_path / "it ran").exists()
    subprocess.run([python, "-c", ""], check=True)
    assert (tmp_path / "it ran").exists()


@pytest.mark.parametrize(("name", "version", "problem"), [
    ("lightning", "2.6.3", "carried malware"),
    ("litellm", "1.82.7", "carried malware"),
    ("LiteLLM", "1.82.8+local", "carried malware"),
    ("hydra_core", "1.3.7", "known vulnerability"),
    ("bentoml", "nonsense", "known vulnerability"),
])  # fmt: skip
def test_a_known_bad_release_in_an_environment_is_refused(tmp_path, name, version, problem):
    installed(tmp_path, setuptools="84.2.1", **{name: version})
    code, said = audit("--environment", tmp_path)
    assert code == 2 and f"{name} {version}" in said and problem in said and "make setup" in said


def test_an_environment_that_sees_the_system_or_nothing_is_refused(tmp_path):
    code, said = audit("--environment", tmp_path)
    assert code == 2 and "no packages" in said
    installed(tmp_path, setuptools="84.2.1")
    (tmp_path / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
    code, said = audit("--environment", tmp_path)
    assert code == 2 and "sees the packages of the system" in said


def test_an_sbom_must_list_what_is_installed(tmp_path):
    installed(tmp_path, setuptools="84.2.1", hydra_core="1.3.8")
    parts = [{"name": "setuptools", "version": "84.2.1"}, {"name": "hydra-core", "version": "1.3.8"}]
    sbom = tmp_path / "sbom.json"
    for components, problem in (
        (parts, ""),
        (parts[:1], "does not list hydra-core 1.3.8"),
        ([], "does not list hydra-core 1.3.8"),
        ([parts[0], parts[1] | {"version": "1.3.7"}], "does not list hydra-core 1.3.8"),
    ):
        sbom.write_text(json.dumps({"bomFormat": "CycloneDX", "components": components}))
        code, said = audit("--environment", tmp_path, "--sbom", sbom)
        assert code == (2 if problem else 0) and problem in said
    for content in ("", "{"):
        sbom.write_text(content)
        code, said = audit("--environment", tmp_path, "--sbom", sbom)
        assert code == 2 and "make audit" in said and "Traceback" not in said
    sbom.unlink()
    assert audit("--environment", tmp_path, "--sbom", sbom)[0] == 2


@pytest.mark.parametrize("line", ['[malware]\nlightning = "2.6.2"', "[floor]\ntorch = 2.13", "[malware]", "[malware\n"])
def test_a_mistake_in_the_list_is_named(tmp_path, line):
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    tables = {"malware", "floor", "startup"} - ({line[1:].partition("]")[0]} if "=" in line else {"floor"})
    (tmp_path / ".ci/supply.toml").write_text(line + "\n" + "".join(f"[{table}]\n" for table in sorted(tables)))
    code, said = audit("--lock", ROOT / "requirements.lock", root=tmp_path)
    assert code != 0 and "supply.toml" in said and "Traceback" not in said
