"""What no config may do, whichever door it comes by: build what its group is not for, set Hydra's own keys, read the environment."""

import importlib
import inspect
import pkgutil
import re

import pytest
import yaml

import fmcycle
from fmcycle.cli import command_line
from fmcycle.config import build, compose, grammar, hydra_keys, nouns, selection
from fmcycle.errors import ConfigError, InputError

DOORS = ("command line", "params.yaml", "local.yaml", "yaml in conf", "experiment")
STAGE = {"gate": "package", "engine": "package", "guardrail": "package", "curation": "curate", "monitor": "monitor", "source": "collect"}


def problems(overrides) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compose.compose(list(overrides))
    return error.value.problems


def through(door: str, project, key: str, node: dict) -> list[str]:
    """The overrides of a run that brings `node` under `key` through a door; what the door itself refuses is a ConfigError here."""
    stage = STAGE.get(key.split(".")[0], "finetune")
    if door == "command line":
        return [f"stage={stage}", f"+{key}={grammar.quoted(node)}"]
    if door == "params.yaml":
        (project / "params.yaml").write_text(yaml.safe_dump({"overrides": {stage: {f"+{key}": node}}}))
        return [f"stage={stage}", *selection.selection(stage)]
    if door == "local.yaml":
        (project / "local.yaml").write_text(yaml.safe_dump({"trainer": {f"+{key}": node}}))
        return [f"stage={stage}", *selection.local()]
    content = node
    for name in reversed(key.split(".")):
        content = {name: content}
    (project / "conf/experiment/x.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(content)}")
    if door == "experiment":
        return [f"stage={stage}", "experiment=x"]
    group, *rest = key.split(".")
    file = project / f"conf/{group}/x.yaml"
    inner = node
    for name in reversed(rest if group != "source" else []):
        inner = {name: inner}
    file.write_text(yaml.safe_dump(inner))
    chosen = {"evaluation": "evaluation=[x]", "source": "+source@source.e=x"}
    return [f"stage={stage}", chosen.get(group, f"{group}=x")]


def inside() -> list[str]:
    """Every public function and class of fmcycle that no shipped config builds."""
    used = set()
    for file in compose.conf_dir().rglob("*.yaml"):
        used |= set(_targets(yaml.safe_load(file.read_text())))
    found = []
    for module in pkgutil.walk_packages(fmcycle.__path__, "fmcycle."):
        if module.name.endswith("__main__") or module.name == "fmcycle.executor.ray":
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            own = getattr(thing, "__module__", None) == module.name and (inspect.isfunction(thing) or inspect.isclass(thing))
            if own and not name.startswith("_") and f"{module.name}.{name}" not in used:
                found.append(f"{module.name}.{name}")
    return found


def _targets(node):
    if isinstance(node, list | dict):
        for item in node.values() if isinstance(node, dict) else node:
            yield from _targets(item)
    if isinstance(node, dict) and isinstance(node.get("_target_"), str):
        yield node["_target_"]


def test_hardly_anything_of_the_inside_can_be_built_anywhere():
    """What passes has the form of its noun: it is a step, a source, a format, though no yaml names it; none of it writes."""
    passing = set()
    for target in inside():
        for name, kind in nouns.NOUNS.items():
            for depth, partial in ((False, False), (False, True), (True, False), (True, True)):
                if nouns.problem(target, {"_target_": target, "_partial_": partial}, kind, depth) is None:
                    passing.add((target, name))
    functions = {target for target, _ in passing if inspect.isfunction(build.resolve(target))}
    for target in functions:
        code = inspect.getsource(build.resolve(target))
        assert not re.search(r"write|unlink|rmtree|subprocess|open\(|os\.|[^.]\beval\(|exec", code), target
    assert len(functions) < 20, sorted(functions)
    assert {target.split(".")[1] for target, _ in passing} <= {kind.rooms[0].split(".")[0] for kind in nouns.NOUNS.values() if kind.rooms}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("key", "node"),
    [
        ("gate.e", {"_target_": "fmcycle.config.signature.parse", "annotation": "[].append(1)"}),
        ("gate.e", {"_target_": "fmcycle.artifact.atomic.write_text", "path": "made.txt", "text": "x"}),
        ("gate.e", {"_target_": "fmcycle.evaluation.safety.Safety", "prompts": "x"}),
        ("evaluation.e", {"_target_": "fmcycle.source.erase.add", "file": "made.txt", "sources": [], "digests": []}),
        ("evaluation.e", {"_target_": "fmcycle.artifact.wheel.obtain", "name": "x", "version": "1", "sha256": "0"}),
        ("curation.e", {"_target_": "fmcycle.tables.schema.write_parquet", "_partial_": True, "path": "made.txt"}),
        ("monitor.e", {"_target_": "fmcycle.cli.main.run", "arguments": ["collect"]}),
        ("source.e", {"_target_": "fmcycle.source.local.keep", "_partial_": True, "names": []}),
        ("source.e", {"_target_": "fmcycle.source.local.local", "_partial_": True, "folder": "made", "path": None}),
        ("guardrail.e", {"_target_": "fmcycle.artifact.folder.create", "folder": "made"}),
        ("evaluation.e", {"_target_": "lightning.pytorch.Trainer", "default_root_dir": "made"}),
        ("evaluation.e", {"_target_": "peft.get_peft_model", "_partial_": True}),
    ],
)
def test_a_node_builds_only_what_its_group_is_for(project, door, key, node):
    before = sorted(path.as_posix() for path in project.rglob("*"))
    with pytest.raises(ConfigError) as error:
        compose.compose(through(door, project, key, node))
    if door != "local.yaml":
        assert any("_target_: " in line and node["_target_"] in line for line in error.value.problems), error.value.problems
    assert {path.as_posix() for path in project.rglob("*")} - set(before) <= {
        str(project / name) for name in ("local.yaml", "conf/experiment/x.yaml", f"conf/{key.split('.')[0]}/x.yaml")
    }


@pytest.mark.parametrize("target", ["fmcycle.source.erase.add", "fmcycle.serving.export.export", "fmcycle.artifact.folder.create"])
def test_the_root_of_a_section_is_a_stage(project, target):
    assert "a stage is fmcycle.stage.NAME.run" in problems([f"_target_={target}"])[0]
    (project / "conf/stage/mine.yaml").write_text(f"# @package _global_\n_target_: {target}\n")
    assert "a stage is fmcycle.stage.NAME.run" in problems(["stage=mine"])[0]


def test_an_annotation_is_read_and_never_run():
    from fmcycle.config import signature

    for text in (
        "[].__class__.__base__.__subclasses__()",
        "print('x')",
        "int.__bases__",
        "list[print('x')]",
        "(lambda: 1)()",
        "x" * 10_000,
    ):
        assert signature.parse(text) is signature.Any
    assert signature.parse("int | None") == int | None
    assert signature.parse('Literal["a", 1] | None') == signature.Literal["a", 1] | None
    assert signature.parse("dict[str, list[float]]") == dict[str, list[float]]


HYDRA = {
    "callbacks": {"x": {"_target_": "os.system"}},
    "job_logging": {"handlers": {"file": {"class": "logging.FileHandler", "filename": "made.log"}}},
    "hydra_logging": {"version": 1, "root": {"level": "DEBUG"}},
    "output_subdir": "made",
    "run": {"dir": "made"},
    "sweep": {"dir": "made", "subdir": "x"},
    "job": {"chdir": True},
    "job.env": {"env_set": {"LD_PRELOAD": "made.so"}},
    "job.copy": {"env_copy": ["HOME"]},
    "sweeper": {"_target_": "os.system"},
    "launcher": {"_target_": "os.system"},
    "launcher.setup": {"setup": ["touch made"]},
    "launcher.name": {"name": "x\ntouch made"},
    "mode": "MULTIRUN",
    "verbose": True,
    "searchpath": ["file:///tmp"],
    "runtime": {"output_dir": "made"},
}


@pytest.mark.parametrize("name", sorted(HYDRA))
@pytest.mark.parametrize("place", ["experiment", "config.yaml", "model", "command line"])
def test_of_hydras_own_keys_only_the_launcher_and_what_it_asks_for_may_be_set(project, name, place):
    key, value = name.split(".")[0], HYDRA[name]
    if key == "searchpath" and place != "command line":
        return  # Hydra takes it from the command line's, which is ours
    if place == "command line":
        flat = grammar.flatten({"hydra": {key: value}})
        assert problems([f"++{text}" for text in flat])
        return
    if place == "config.yaml":
        file = project / "conf/config.yaml"
        content = yaml.safe_load(file.read_text())
        content["hydra"][key] = value
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        chosen = []
    else:
        head = "# @package _global_\n"
        text = yaml.safe_dump({"hydra": {key: value}})
        if place == "model":
            text = "defaults: [llama_small@model]\n" + text
        (project / f"conf/{place}/x.yaml").write_text(head + text)
        chosen = [f"{place}=x"]
    try:
        composed = compose.compose(["hydra/launcher=slurm", "trainer=slurm", *chosen])
    except ConfigError as error:
        assert any(line.startswith(("hydra.", "In ")) for line in error.problems), error.problems
    else:  # what stands in conf/config.yaml itself came after it
        assert place == "model" and key in ("run", "sweep", "output_subdir"), composed


def test_what_a_cluster_is_asked_for_passes(project):
    asked = ["hydra.launcher.partition=gpu", "hydra.launcher.gres=gpu:h200:8", "hydra.launcher.timeout_min=60", "hydra.launcher.mem_gb=64"]
    assert compose.compose(["hydra/launcher=slurm", "trainer=slurm", *asked])
    assert compose.compose(["hydra/launcher=submitit_local", "hydra.launcher.submitit_folder=runs/.submitit/%j"])
    assert "did you mean hydra.launcher.partition" in problems(["hydra/launcher=slurm", "hydra.launcher.partiton=gpu"])[0]
    assert "outside the project" in problems(["hydra/launcher=slurm", "hydra.launcher.submitit_folder=/tmp/x"])[0]
    assert hydra_keys.LAUNCHERS


@pytest.mark.parametrize(
    "word",
    [
        "--config-d=x",
        "--config-n",
        "--exp",
        "--experimental-rerun=x",
        "--multi",
        "--shell-completion",
        "-sc",
        "-mh",
        "-cjob",
        "--run",
        "-r",
        "--hel",
        "--no-such",
        "-cd",
        "-cn=x",
        "--config-path",
        "--",
        "-x",
        "--multirun=true",
    ],
)
def test_flags_are_those_that_are_listed_and_nothing_shorter(project, word):
    with pytest.raises(ConfigError):
        command_line.expand([word, "model=llama_small"])


def test_the_listed_flags_pass(project):
    flags, rest = command_line.expand(["-m", "-c", "job", "--resolve", "model=llama_small", "--package=model"])
    assert flags == ["--multirun", "--cfg", "job", "--resolve", "--package", "model"] and rest[-1] == "model=llama_small"
    assert command_line.expand(["--info", "stage=curate"])[0] == ["--info", "all"]


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "x-${oc.env:HOME,none}", "${hydra:runtime.cwd}", "${oc.select:a,${oc.env:HOME}}"])
def test_nothing_of_the_environment_enters_a_config(project, value, monkeypatch):
    monkeypatch.setenv("HOME", "a-secret-home")
    found = problems([f"inputs.model={value}"])
    assert not any("a-secret-home" in line for line in found)
    (project / "conf/experiment/x.yaml").write_text(f"# @package _global_\nprice: {{currency: '{value}'}}\n")
    assert problems(["experiment=x"])


def test_a_value_with_quotes_comes_through_params_yaml_as_it_is(project):
    for value in (
        "it's",
        'a "word"',
        "back\\slash",
        "ends\\",
        "'",
        "a,b",
        "{x: 1}",
        "1e-3",
        "null",
        "True",
        "-1",
        "\\'",
        "line\nbreak",
        "  blanks  ",
        "$a",
        "=",
        "é",
    ):
        text = grammar.flatten({"inputs": {"instructions": value}})
        try:
            assert compose.compose(text).inputs["instructions"] == value
        except InputError as error:
            pytest.fail(f"{value!r}: {error}")
