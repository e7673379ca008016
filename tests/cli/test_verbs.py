"""Every verb says what it takes, and refuses what it does not know, before it does anything."""

import pytest

from fmcycle.cli import main, verbs

VERBS = verbs.names()


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_verb_prints_its_usage(name, flag, project, capsys):
    for arguments in ([flag], ["something", flag]):
        assert main.run([name, *arguments]) == 0
        assert capsys.readouterr().out.startswith(f"usage: fmcycle {name}")


@pytest.mark.parametrize("name", VERBS)
def test_what_a_verb_does_not_know_is_refused_with_its_usage(name, project, capsys):
    before = sorted(project.rglob("*"))
    assert main.run([name, "--nonsense"]) == 2
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
    assert main.run(arguments) == 2
    assert f"usage: fmcycle {arguments[0]}" in capsys.readouterr().err


def test_the_help_names_every_verb_but_the_inner_one():
    assert [name for name in VERBS if f"fmcycle {name}" not in main.HELP] == ["rank"]
