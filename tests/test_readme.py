"""What README, docs/ and CONTRIBUTING tell a reader to type is real, and so are their links and examples."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fmcycle.cli import command_line, experiment, verbs
from fmcycle.config import compose, groups
from fmcycle.errors import ConfigError

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
            if not arguments or arguments[0].startswith("-"):
                return []
            if verbs.parser(arguments[0]) and arguments[0] not in groups.stages():  # an unknown one is refused before anything else
                return []
            verb, *rest = arguments
            named = [word for word in rest if verb == "evaluate" and "=" not in word and word[0] not in "-~"]  # MODEL and DATA
            arguments = [f"stage={'evaluate_on' if len(named) == 2 else verb}", *(word for word in rest if word not in named)]
        flags, overrides = command_line.expand(arguments)
        for job in experiment.split(overrides) if "--multirun" in flags else [overrides]:
            compose.compose(job)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize(("kind", "command", "output"), of("python train.py", "fmcycle"))
def test_commands_compose_and_refusals_read_as_shown(kind, command, output, project):
    for name in ("mine", "other"):  # the reader's models
        (project / "models" / name).mkdir(parents=True)
        (project / "models" / name / "config.json").write_text("{}")
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
        "from fmcycle.config import build, code_digest, compose\n"
        f"reached = set().union(*(code_digest.targets(compose.compose(overrides).section) for overrides in {stages!r}))\n"
        f"assert reached >= {named!r}, {named!r} - reached\n"
        f"assert all(callable(build.resolve(target)) for target in {named!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": "src"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CHOICE = re.compile(r"(?<![\w.@/-])~?\+?([a-z_]+)(?:@[\w.]+)?=(\[[\w, ]*\]|[A-Za-z]\w*(?:,\w+)*)(?![\w.*:/])")
HEADED = re.compile(r"^\| (`\w+=`|experiment|option) \|[^\n]*\n\| ---[^\n]*\n((?:\|[^\n]*\n)+)", re.M)


def chosen(text: str) -> set[tuple[str, str]]:
    """(group, option) of every choice in the code of a page: `strategy=lora`, 'evaluation=[a,b]', -m strategy=lora,full."""
    blocks = [block for kind, block in BLOCK.findall(text) if kind != "refused" and "no such option" not in block]
    code = "\n".join([*re.findall(r"`([^`\n]+)`", text), *blocks])
    found = [(name, option.strip()) for name, value in CHOICE.findall(code) for option in value.strip("[]").split(",")]
    return {(name, option) for name, option in found if name in groups.names() and option and not option.isupper()}


def listed(text: str) -> dict[str, set[str]]:
    """{group: options} of the tables of a page whose first column is headed `experiment`, `engine=` and so on."""
    found: dict[str, set[str]] = {}
    for head, rows in HEADED.findall(text):
        name = {"option": "evaluation"}.get(head.strip("`="), head.strip("`="))
        if name in groups.names():
            cells = [line.split("|")[1] for line in rows.splitlines()]
            found.setdefault(name, set()).update(word for cell in cells for word in re.findall(r"[a-z]\w+", cell.replace("then", "")))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_a_page_names_is_there(page):
    added = {(Path(name).parts[1], Path(name).stem) for name, _ in NAMED.findall(page.read_text()) if name.startswith("conf/")}
    own = {("objective", "hinge"), ("curation", "mine")}  # a reader's, in the examples of config.md and curation.md
    text = re.sub(r"(?m)^\$ .*lama_small.*$|^    .*$", "", page.read_text())
    wrong = {(name, option) for name, option in chosen(text) - added - own if option not in groups.options(name)}
    assert not wrong
    for name, options in listed(page.read_text()).items():
        assert options <= set(groups.options(name)), f"the table of {name}"


def test_tables_of_options_are_complete():
    tables = {page.name: listed(page.read_text()) for page in PAGES}
    for page, name in (("evaluation.md", "evaluation"), ("serving.md", "engine"), ("options.md", "")):
        for each in [name] if name else []:
            assert tables[page][each] == set(groups.options(each)), each
    training = (ROOT / "docs/training.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line.split("|")[3] for line in training.splitlines() if line.startswith("| `")}
    assert len(rows) > 5
    for name, options in rows.items():
        assert set(re.findall(r"`(\w+)`", options)) == set(groups.options(name)), name
    page = (ROOT / "docs/options.md").read_text()
    assert not [f"{name}={option}" for name in groups.names() for option in groups.options(name) if f"`{option}`" not in page]


def test_no_page_denies_what_is_there():
    """What a page says is not here names no option of a group."""
    nouns = ("objective", "strategy", "data", "evaluation", "executor", "engine", "compress")
    words = {option for name in nouns for option in groups.options(name)} - {"text", "local", "pair"}
    for page in PAGES:
        text = page.read_text()
        sections = [*re.findall(r"(?m)^## Not here yet\n+((?:.+\n?)+)", text), *re.findall(r"there is no (\w+) path", text)]
        assert not set(re.findall(r"\w+", " ".join(sections).lower())) & words, page.name


def test_the_feedback_store_is_where_the_page_says():
    from fmcycle.serving.store import DEFAULT

    assert f"`{DEFAULT}`" in (ROOT / "docs/serving.md").read_text()
