"""What README, docs/ and CONTRIBUTING tell a reader to type is real, and so are their links and examples."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fmcycle import cli
from fmcycle.door import command_line, compose
from fmcycle.error import ConfigError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
NAMED = re.compile(r"^`([\w./-]+)`\n```\w+\n(.*?)^```", re.M | re.S)
PROGRAMS = ("python train.py", "fmcycle", "make", "dvc", "bentoml")


def commands(text: str) -> list[tuple[str, str, str]]:
    """(kind of block, command, output shown below it) of every command line in the code blocks of a page.

    Kinds: `sh`, commands; `console`, a `$ command` with what it printed; `refused`, the same, and compose refuses it in these words.
    """
    found = []
    for kind, block in BLOCK.findall(text):
        block = block.replace("\\\n", " ")
        for part in re.split(r"^\$ ", block, flags=re.M) if kind in ("console", "refused") else block.splitlines():
            line, _, output = part.partition("\n")
            line = re.sub(r"^(\w+=\S+ )+", "", line.strip())
            if re.match(rf"({'|'.join(PROGRAMS)})\b", line):
                found.append((kind, line, output.strip()))
    return found


COMMANDS = [(page, *each) for each, page in {each: page.name for page in PAGES[::-1] for each in commands(page.read_text())}.items()]


def words(command: str) -> list[str]:
    """The arguments of a command line."""
    program = next(name for name in PROGRAMS if command.startswith(name))
    return shlex.split(command, comments=True)[len(program.split()) :]


def of(*programs: str) -> list:
    """The command lines of `programs`, but those of CONTRIBUTING, which name what its examples add."""
    return [
        pytest.param(kind, line, output, id=f"{page}: {line}")
        for page, kind, line, output in COMMANDS
        if line.startswith(programs) and not (page == "CONTRIBUTING.md" and line.startswith(PROGRAMS[:2]))
    ]


def refusal(command: str) -> list[str]:
    """What is said against a command line before any work; nothing where it composes or is a verb of the help."""
    arguments = words(command)
    try:
        if command.startswith("fmcycle"):
            if not arguments or arguments[0].startswith("-") or re.search(rf"^  fmcycle {arguments[0]}\b", cli.HELP, re.M):
                return []
            if arguments[0] not in compose.stages():
                cli._stage(*arguments[:1], arguments[1:])  # refuses an unknown verb before anything else
            arguments = [f"stage={arguments[0]}", *arguments[1:]]
        flags, overrides = command_line.expand(arguments)
        for job in cli._jobs(overrides) if "--multirun" in flags else [overrides]:
            compose.compose(job)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize(("kind", "command", "output"), of("python train.py", "fmcycle"))
def test_commands_compose_and_refusals_read_as_shown(kind, command, output, project):
    assert "\n".join(refusal(command)) == (output if kind == "refused" else "")


@pytest.mark.parametrize(("kind", "command", "output"), of("make"))
def test_make_targets_exist(kind, command, output):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(words(command)) <= targets


@pytest.mark.parametrize(("kind", "command", "output"), of("dvc"))
def test_dvc_takes_the_command_and_knows_its_stages(kind, command, output, capsys):
    from dvc.cli.parser import get_main_parser

    given = get_main_parser().parse_args(words(command))
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) | {"data.dvc"}
    if given.cmd in ("repro", "exp"):
        assert set(getattr(given, "targets", None) or []) <= stages
    changed = [item.lstrip("+~").split("=")[0].split(".")[0] for item in getattr(given, "set_param", None) or []]
    assert set(changed) <= set(yaml.safe_load((ROOT / "params.yaml").read_text()))


@pytest.mark.parametrize(("kind", "command", "output"), of("bentoml"))
def test_bentoml_has_the_command(kind, command, output):
    from bentoml_cli.cli import create_bentoml_cli

    verb, *rest = words(command)
    options = {option for each in create_bentoml_cli().commands[verb].params for option in each.opts}
    assert {text.split("=")[0] for text in rest if text.startswith("--")} <= options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_pages_stay_short_and_plain():
    long = {page.name: count for page in PAGES if page.parent.name == "docs" and (count := len(page.read_text().splitlines())) > 130}
    assert not long
    assert not [page.name for page in PAGES if not page.read_text().isascii()]


def test_the_examples_of_contributing_build(tmp_path):
    """Each example's files in a copy of the package: every config composes, and what it names is there."""
    for part in ("conf", "src/fmcycle"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    added = NAMED.findall(text)
    assert {Path(name).parts[1] for name, _ in added if name.startswith("conf/")} >= {"model", "data", "objective", "strategy"}
    for name, content in added:
        assert not (tmp_path / name).exists(), f"{name} is there by now: show another"
        (tmp_path / name).write_text(content)
    lines = [shlex.split(line, comments=True) for _, line, _ in commands(text) if line.startswith(PROGRAMS[:2])]
    stages = [[f"stage={line[1]}", *line[2:]] if line[0] == "fmcycle" else line[2:] for line in lines]
    named = set(re.findall(r"_target_: (fmcycle\.[\w.]+)", text))
    script = (
        "from fmcycle import build, code_digest\nfrom fmcycle.door import compose\n"
        f"reached = set().union(*(code_digest.targets(compose.compose(overrides).section) for overrides in {stages!r}))\n"
        f"assert reached >= {named!r}, {named!r} - reached\n"
        f"assert all(callable(build.resolve(target)) for target in {named!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": "src"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_feedback_store_is_where_the_page_says():
    from fmcycle.serving.store import DEFAULT

    assert f"`{DEFAULT}`" in (ROOT / "docs/serving.md").read_text()
