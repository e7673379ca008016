"""Every verb says what it takes, and refuses what it does not know, before it does anything."""

import re
import tomllib

import pytest

from fmcycle.cli import main, verbs
from fmcycle.config import groups

VERBS = [name for name in verbs.parsers() if name not in groups.stages() and name != "train"]


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_verb_prints_its_usage(name, flag, project, capsys):
    for arguments in ([flag], ["something", flag]):
        assert main.main([name, *arguments]) == 0
        assert capsys.readouterr().out.startswith(f"usage: fmcycle {name}")


@pytest.mark.parametrize("name", VERBS)
def test_what_a_verb_does_not_know_is_refused_with_its_usage(name, project, capsys):
    before = sorted(project.rglob("*"))
    assert main.main([name, "--nonsense"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: fmcycle {name}") and f"fmcycle {name}: " in said and "Traceback" not in said
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["compose", "selection"],
        ["compose", "out="],
        ["compose", "nonsense=1"],
        ["lineage", "a", "b"],
        ["runs", "a"],
        ["models", "yaml"],
        ["trace", "document", "x"],
        ["forget", "--match", "x", "--source", "y"],
        ["gate", "a", "b"],
        ["feedback", "import"],
        ["feedback"],
        ["plan"],
        ["rank"],
    ],
)
def test_a_wrong_command_line_ends_with_2_and_the_usage(arguments, project, capsys):
    assert main.main(arguments) == 2
    assert f"usage: fmcycle {arguments[0]}" in capsys.readouterr().err


def test_the_help_has_every_verb_in_a_group_with_one_sentence(project, capsys):
    assert main.main([]) == main.main(["--help"]) == main.main(["help"]) == 0
    first, second, third = capsys.readouterr().out.split("usage: fmcycle VERB")[1:]
    assert first == second == third
    lines = [line.split(maxsplit=1) for line in first.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    said = dict(lines)
    assert [name for name in verbs.parsers() if name not in said] == ["train", "rank"]
    assert all(said[name].endswith(".") for name in verbs.parsers() if name in said)
    assert all(f"\n{group}: " in first for group in verbs.GROUPS)


@pytest.mark.parametrize("name", [*groups.stages(), "train"])
def test_the_help_of_a_stage_names_every_flag_that_it_takes_and_no_other(name, project, capsys):
    from fmcycle.cli import command_line

    assert main.main([name, "--help"]) == 0
    said = capsys.readouterr().out
    options = [re.split(r"\s{2,}", line.strip())[0] for line in said.splitlines() if line.startswith("  -")]
    assert {flag for option in options for flag in re.findall(r"--[\w-]+", option)} == {*command_line.FLAGS} - {"--version"}
    assert ("plan=true" in said) == trains(name)


def trains(name: str) -> bool:
    return name == "train" or groups.content("stage", name)["_target_"].startswith("fmcycle.stage.train.")


@pytest.mark.parametrize("arguments", [["--version"], ["train", "--version"], ["pretrain", "--version"]])
def test_the_version_is_that_of_the_project(arguments, project, root, capsys):
    assert main.main(arguments) == 0
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out == f"fmcycle {version}\n"
