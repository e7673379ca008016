"""`fmcycle init`: makes a project from a template, or adds a workflow for CI or a pre-commit hook to one that is there."""

import contextlib
import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from fmcycle.cli import schemas, verbs
from fmcycle.errors import InputError

TEMPLATES = {  # each is a folder of fmcycle/project/: what README.md says of it
    "assistant": {
        "about": "SmolLM2-135M-Instruct (a wheel of 93 MB), fine-tuned on questions and answers",
        "stages": "convert, curate, finetune, evaluate, package",
        "train": "finetune",
        "data": ": rows with a question and an answer, or any other shape of instructions",
    },
    "classifier": {
        "about": "A text classifier, trained from scratch on labelled texts",
        "stages": "curate, processor, pretrain, evaluate_on, package",
        "train": "pretrain",
        "data": ": rows with `text` and `label`; `num_labels` in params.yaml is the number of labels",
    },
    "images": {
        "about": "An image classifier, trained from scratch on labelled images",
        "stages": "curate, processor, pretrain, evaluate_on, package",
        "train": "pretrain",
        "data": ": images, and metadata.csv with `file_name` and `label`; `num_labels` in params.yaml is the number of labels",
    },
    "pretrain": {
        "about": "A tokenizer and a language model, trained from scratch on documents",
        "stages": "curate, processor, tokens, pretrain, evaluate_on, package",
        "train": "pretrain",
        "data": ": texts, Markdown, HTML, code, or rows with `text`",
    },
}
FILES = Path(__file__).parents[1] / "project"  # `name.jinja` is filled, `_name` is written as `.name`
REPOSITORY = ".git"


def main(arguments: list[str]) -> None:
    """Make the project, or add the files that flags ask for; print what was made and the next commands."""
    given = verbs.parse("init", arguments)
    folder = Path(given.folder)
    parts = [*([given.ci] if given.ci else []), *(["pre-commit"] if given.pre_commit else [])]
    if parts and given.template is None and (folder / "params.yaml").is_file():
        print("\n".join(f"{folder / name}: added" for name in add(folder, parts)))
        return
    template = given.template or "assistant"
    made = make(folder, template, parts)
    print(f"{folder}: {len(made)} files from the template {template}; README.md says what each is for\n")
    print("\n".join(f"  {line}" for line in [*([] if folder.resolve() == Path.cwd() else [f"cd {folder}"]), "dvc repro", "bentoml serve"]))


def make(folder: Path, template: str, parts: list[str]) -> list[str]:
    """Write a new project into `folder`; return the names of its files. Raises InputError if the folder holds anything but a repository."""
    if folder.exists() and (not folder.is_dir() or {each.name for each in folder.iterdir()} - {REPOSITORY}):
        raise InputError(f"{folder}: is there and not empty; name a new folder: `fmcycle init NAME`")
    above = next((each for each in folder.absolute().parents if each.is_dir()), Path("/"))
    git = shutil.which("git") is not None
    tracked = (folder / REPOSITORY).exists() or (git and _git(above, "rev-parse", "--is-inside-work-tree"))
    made = write(folder, ["common", template, *parts], name=folder.resolve().name, git=git or tracked, **TEMPLATES[template])
    if template == "images":
        from fmcycle.cli import drawings

        (folder / "data").mkdir()
        drawings.write(folder / "data")
    if git and not tracked:
        _git(folder, "init", "--quiet")
    with contextlib.chdir(folder):
        schemas.write(schemas.FOLDER)
        schemas.settings(schemas.FOLDER)
    return made


def add(folder: Path, parts: list[str]) -> list[str]:
    """Write the files of `parts` into a project; return their names. Raises InputError if one is there."""
    if there := [name for part in parts for name in names(part).values() if (folder / name).exists()]:
        raise InputError(f"{folder / there[0]}: is there already; move it away, or edit it")
    return write(folder, parts, name=folder.resolve().name, git=True)


def names(part: str) -> dict[Path, str]:
    """Return {file of a part of fmcycle/project/: its name in a project}."""
    found = {file: file.relative_to(FILES / part) for file in sorted((FILES / part).rglob("*")) if file.is_file()}
    return {
        file: "/".join(f".{name[1:]}" if name.startswith("_") else name for name in path.parts).removesuffix(".jinja")
        for file, path in found.items()
    }


def write(folder: Path, parts: list[str], **values) -> list[str]:
    """Write the files of `parts`; return their names. values: those that `.jinja` files name."""
    import jinja2

    fill = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    written = {name: file for part in parts for file, name in names(part).items()}
    for name, file in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".jinja":
            (folder / name).write_text(fill.from_string(file.read_text()).render(requirement=requirement(), **values))
        else:
            shutil.copyfile(file, folder / name)
    return list(written)


def requirement() -> str:
    """Return the line of requirements.txt that installs this fmcycle: from its repository if pip took it from there, else by version."""
    try:
        origin = json.loads(metadata.distribution("fmcycle").read_text("direct_url.json") or "{}")
    except metadata.PackageNotFoundError:
        origin = {}
    if vcs := origin.get("vcs_info"):
        return f"fmcycle @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
    return f"fmcycle=={verbs.version()}"


def _git(folder: Path, *words: str) -> bool:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True).returncode == 0
