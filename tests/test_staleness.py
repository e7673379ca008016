"""What reruns after which edit: the sets were written down first.

The fast test asks `fmcycle compose` which sections and code digests moved; the slow one lets `dvc repro` run a tiny lifecycle.
"""

import shutil
import subprocess
import sys

import pytest
import tiny
import yaml

from fmcycle.config import groups

TOXICITY = "toxicity: {_target_: fmcycle.curation.toxicity.lexicon, _partial_: true}"
PRIVACY = "privacy: {_target_: fmcycle.curation.privacy.mask, _partial_: true}"
# edit: (file, old, new, stages whose section or code moves)
MATRIX = {
    "a model that nothing names": ("conf/model/gpt_small.yaml", "n_layer:", "n_layer: 3  # was", set()),
    "the devices of a trainer": ("conf/trainer/cpu.yaml", "devices: 1", "devices: 2", set()),
    "a comment in DPO": ("src/fmcycle/objective/dpo.py", '"""', '"""# ', {"align", "select"}),
    "another objective": ("src/fmcycle/objective/masked_token.py", '"""', '"""# ', set()),
    "LoRA's rank": ("conf/strategy/lora.yaml", "r: 16", "r: 8", {"finetune", "align", "select"}),
    "a gate's bound": ("conf/gate/small.yaml", "max: 0.2", "max: 0.3", {"package"}),
    "the order of curation": ("conf/curation/web.yaml", f"{TOXICITY}\n{PRIVACY}", f"{PRIVACY}\n{TOXICITY}", {"curate"}),
    "a metric": ("src/fmcycle/evaluation/domain_shift.py", '"""', '"""# ', {"continue_pretrain"}),
    "the page of a report": ("src/fmcycle/evaluation/report.html", "<h1>", "<!-- --><h1>", {"evaluate", "evaluate_on"}),
    "the command line": ("src/fmcycle/cli/main.py", '"""', '"""# ', set()),
}


def edit(folder, file, old, new) -> str:
    """Apply one edit; returns the text that stood there."""
    text = (folder / file).read_text()
    assert old in text, f"{file} holds no {old!r}"
    (folder / file).write_text(text.replace(old, new, 1))
    return text


def composed(folder) -> dict:
    result = tiny.run(folder, sys.executable, "-m", "fmcycle.cli.main", "compose", env={"PYTHONPATH": str(folder / "src")})
    assert result.returncode == 0, result.stderr
    return yaml.safe_load((folder / "artifacts/config.yaml").read_text())


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The repository's conf, code and selection, to be edited."""
    folder = tmp_path_factory.mktemp("house")
    for name in ("conf", "src"):
        shutil.copytree(tiny.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "pyproject.toml", "dvc.yaml"):
        shutil.copy(tiny.ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def before(house) -> dict:
    return composed(house)


@pytest.mark.parametrize("name", MATRIX)
def test_an_edit_moves_the_sections_and_digests_of_what_uses_it_and_no_other(house, before, name):
    *what, expected = MATRIX[name]
    text = edit(house, *what)
    after = composed(house)
    (house / what[0]).write_text(text)
    moved = {stage for stage in after["code"] if after["code"][stage] != before["code"][stage] or after[stage] != before[stage]}
    assert moved == expected


BY_HAND = {"continue_pretrain", "convert", "evaluate_on"}  # stages of nobody's default: they are run by their names


def test_every_stage_of_the_graph_has_a_section_and_reads_what_its_config_names(root):
    graph = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    from fmcycle.config import compose

    assert set(graph) == {"compose", *groups.stages()} - BY_HAND
    for stage in set(groups.stages()) - BY_HAND:
        inputs = compose.compose([f"stage={stage}"]).inputs
        for name, value in inputs.items():
            if value is None or value in [
                other for key, other in inputs.items() if key != name and f"inputs.{key}=" in graph[stage]["cmd"]
            ]:
                continue  # left out unless a person gives it, or it follows another input
            path = str(value).replace("stage:collect", "data").replace("stage:", "artifacts/").replace("made:", "artifacts/")
            assert f"inputs.{name}={path}" in graph[stage]["cmd"].split(), (stage, name, path)
            assert any(path == dep or path.startswith(f"{dep}/") for dep in graph[stage]["deps"]), (stage, path)


def ran(folder, *command) -> list[str]:
    """The stages that a dvc command ran, in order."""
    result = tiny.run(folder, "dvc", *(command or ("repro",)))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return [line.split("'")[1] for line in result.stdout.splitlines() if line.startswith("Running stage")]


@pytest.mark.prove
def test_the_tiny_lifecycle_runs_once_and_then_only_what_is_stale(tmp_path):
    folder = tiny.make(tmp_path)
    everything = ran(folder)
    assert set(everything) == set(yaml.safe_load((folder / "dvc.yaml").read_text())["stages"])
    assert ran(folder) == []
    lock = (folder / "dvc.lock").read_text()

    text = edit(folder, "conf/model/gpt_small.yaml", "n_layer:", "n_layer: 3  # was")
    assert ran(folder) == ["compose"]
    text = edit(folder, "conf/trainer/cpu.yaml", "keep: 2", "keep: 3")
    assert ran(folder) == ["compose"]
    edit(folder, "src/fmcycle/objective/masked_token.py", '"""', '"""# ')
    assert ran(folder) == ["compose"]
    edit(folder, "src/fmcycle/objective/dpo.py", '"""', '"""# ')
    assert ran(folder) == ["compose", "align", "select"], "the same weights come out, so nothing after them reruns"
    edit(folder, "conf/gate/tiny.yaml", "max: 100.0", "max: 99.0")
    assert ran(folder) == ["compose", "package"]
    edit(folder, "conf/strategy/lora.yaml", "r: 16", "r: 8")
    stale = ran(folder)
    assert stale[:4] == ["compose", "finetune", "align", "select"] and "pretrain" not in stale and "curate" not in stale
    assert text and lock != (folder / "dvc.lock").read_text()

    variant = tiny.run(folder, "dvc", "exp", "run", "--temp", "-S", "model=gpt_small")
    assert variant.returncode == 0, variant.stdout[-3000:] + variant.stderr[-3000:]
    assert "Running stage 'pretrain'" in variant.stdout and "Running stage 'curate'" not in variant.stdout


@pytest.mark.prove
def test_two_projects_in_two_places_give_the_same_digests(tmp_path):
    locks = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = tiny.make(tmp_path / name)
        assert tiny.run(folder, "dvc", "repro").returncode == 0
        locks.append((folder / "dvc.lock").read_text())
        status = subprocess.run(["git", "status", "--short", "-uno"], cwd=folder, capture_output=True, text=True, check=True)
        written = ("data.dvc", "dvc.lock", ".provenance.json")  # what a run writes of what git tracks
        assert not [line for line in status.stdout.splitlines() if not line.endswith(written)]
    assert locks[0] == locks[1]
