"""The verbs of the command line: the arguments, help and function of each."""

import argparse
import importlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from fmcycle.config import groups
from fmcycle.errors import ConfigError, InputError, suggest

PACKAGE = "artifacts/package"
STAGES = {  # in the order of the lifecycle; any other stage says in the first lines of its yaml what it is
    "collect": "Collect the raw data, with a licence for every row.",
    "curate": "Clean the raw data into documents, instructions, preferences and prompts.",
    "processor": "Train the tokenizer, or copy the one that comes with a model.",
    "tokens": "Encode the documents into token shards.",
    "pretrain": "Train a new model on the token shards.",
    "finetune": "Train a model on instructions, or for a task.",
    "align": "Train a model on preferences.",
    "select": "Search for the best settings, and confirm the best model on fresh rows.",
    "compress": "Make the model smaller; the default leaves it unchanged.",
    "evaluate": "Evaluate a model on held-out rows, with samples and a report.",
    "package": "Package a model if it passes its gate.",
    "monitor": "Check a window of traffic for drift, quality and cost.",
}
GROUPS = {
    "stages": "run one stage of the lifecycle; missing inputs are made first",
    "runs and data": "the cost of a run, the origin of an artifact, the difference between two",
    "serving": "the served package, and the feedback on its answers",
    "machine": "what this machine has, and completion at TAB",
}
FLAGS: dict[tuple[str, ...], dict[str, Any]] = {  # of every stage
    ("-m", "--multirun"): {"action": "store_true", "help": "sweep: run one job for every combination of key=a,b"},
    ("-c", "--cfg"): {"choices": ("job", "hydra", "all"), "help": "show the config and run nothing"},
    ("-p", "--package"): {"metavar": "KEY", "help": "with --cfg: show only this part of the config"},
    ("--resolve",): {"action": "store_true", "help": "with --cfg: resolve the interpolations"},
    ("-i", "--info"): {
        "choices": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        "metavar": "WHAT",
        "help": "show Hydra's all, config, defaults, defaults-tree, plugins or searchpath",
    },
    ("--hydra-help",): {"action": "store_true", "help": "show Hydra's own help"},
}
OVERVIEW = """usage: fmcycle VERB [argument ...]

fmcycle: from raw documents to a served, watched, improving foundation model.
{groups}

`fmcycle VERB --help` shows the arguments of a verb, `fmcycle --version` the version.

  python train.py model=llama_small strategy=lora      one experiment
  dvc repro                                            the whole lifecycle; only what is stale runs
  bentoml serve                                        the deployed model, with its feedback hook

exit codes: 0 done, 1 failed, 2 refused before any work, 3 refused by a gate, 75 interrupted and resumable"""


class Parser(argparse.ArgumentParser):
    """argparse that raises an InputError for a wrong command line: the usage, then what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.format_usage().strip()}\n{self.prog}: {message}")


def parsers() -> dict[str, Parser]:
    """Return {verb: parser}; each has the defaults `call`, its function in cli/, and `group`, None if users don't call it."""
    found: dict[str, Parser] = {}

    def add(group: str | None, name: str, call: str, about: str) -> Parser:
        prog = "python train.py" if name == "train" else f"fmcycle {name}"
        found[name] = Parser(prog=prog, description=about, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
        found[name].set_defaults(call=call, group=group)
        return found[name]

    known = groups.stages()
    for stage in [*filter(known.__contains__, STAGES), *(name for name in known if name not in STAGES)]:
        _stage(add("stages", stage, "experiment.run", STAGES.get(stage) or _first_words(stage)))
    _stage(add(None, "train", "experiment.run", "Run one experiment: a training stage, finetune unless stage=NAME names another."))
    plan = add("runs and data", "plan", "experiment.run", "Predict the cost of a training run, and whether it fits; makes nothing.")
    plan.add_argument("stage", metavar="STAGE", help="pretrain, finetune, align or another stage that trains")
    plan.add_argument("overrides", nargs=argparse.REMAINDER, metavar="override", help="as for the stage itself; plan=json prints JSON")
    lineage = add("runs and data", "lineage", "verbs.lineage", "Show the tree of inputs that an artifact was made from.")
    lineage.add_argument("path", nargs="?", default=PACKAGE, metavar="PATH", help=f"an artifact; default {PACKAGE}")
    runs = add("runs and data", "runs", "runs.main", "List every run and its state; compare the config, data, code and result of two.")
    runs.add_argument("runs", nargs="*", metavar="RUN", help="a folder or an identity; none: list all, two: compare them")
    models = add("runs and data", "models", "models.main", "List every model of conf/model: family, size, licence, memory, results.")
    models.add_argument("form", nargs="?", choices=["json"], help="print one JSON line for each model")
    about = "Follow a document into the models, list the rows that a rule dropped, or compare two versions of the data."
    trace = add("runs and data", "trace", "trace.main", about)
    trace.usage = "fmcycle trace [-h] [curate=FOLDER] doc ID | rule NAME | diff A B"
    trace.add_argument("words", nargs="+", metavar="WORD", help="curate=FOLDER reads another curation than artifacts/curate")
    about = "Find everything that holds a source or a matching text; changes nothing without --apply."
    forget = add("runs and data", "forget", "forget.main", about)
    what = forget.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", metavar="NAME", help="a whole source")
    what.add_argument("--match", metavar="TEXT", help="rows with this text, whatever its case")
    what.add_argument("--regex", metavar="PATTERN", help="rows that match")
    forget.add_argument("--apply", action="store_true", help="remove it from sources/ and data/")
    fetch = add("runs and data", "fetch", "hub.fetch", "Fetch a model from the hub into the cache; print its commit and licence.")
    fetch.add_argument("kind", choices=["model"])
    fetch.add_argument("reference", metavar="hub:OWNER/NAME", help="docs/hub.md has the whole form")
    compose = add("runs and data", "compose", "verbs.compose", "Resolve params.yaml's selection into artifacts/config.yaml for DVC.")
    compose.add_argument("settings", nargs="*", metavar="selection=FILE|out=FILE", type=setting("selection", "out"))
    for name, about in (
        ("gate", "Exit with 3 and the reason if a package failed its gate."),
        ("deploy", "Serve a package that passed its gate instead of the current one."),
    ):
        package = add("serving", name, f"verbs.{name}", about)
        package.add_argument("package", nargs="?", default=PACKAGE, metavar="PACKAGE", help=f"default {PACKAGE}")
    feedback = add("serving", "feedback", "verbs.feedback", "Export new feedback into feedback/snapshots.")
    feedback.add_argument("action", choices=["export"])
    add("machine", "doctor", "doctor.main", "Show what this machine and this project have, what is broken and what will be slow.")
    completion = add("machine", "completion", "completion.main", "Print the script that completes fmcycle's words at TAB.")
    completion.epilog = 'Add this line to ~/.bashrc: eval "$(fmcycle completion bash)"; to ~/.zshrc, behind compinit, with zsh.'
    completion.add_argument("shell", choices=["bash", "zsh"], help="the shell that reads the script")
    completion.add_argument("words", nargs="?", metavar="WORDS", help="the words up to the cursor, one a line; the script passes them")
    rank = add(None, "rank", "experiment.follow_file", "One further process of a training run; only the first process starts it.")
    rank.add_argument("file", metavar="FILE", help="the config that the first process wrote")
    return found


def _stage(parser: Parser) -> None:
    """Add the arguments of every stage."""
    about = "group=option or key=value; +key=value adds a key, ~key removes one; selection=FILE reads a file like params.yaml"
    parser.add_argument("overrides", nargs="*", metavar="override", help=about)
    for names, settings in FLAGS.items():
        parser.add_argument(*names, **settings)


def _first_words(stage: str) -> str:
    """Return the first sentence of the first comment in a stage's yaml."""
    file = groups.option_file("stage", stage)
    lines = file.read_text().splitlines() if file else []
    comment = next((line for line in lines if line.startswith("# ") and not line.startswith("# @")), "")
    words = re.split(r"[.:](?: |$)", comment.removeprefix("# "))[0]
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def setting(*names: str) -> Callable:
    """Return the type of an argument `NAME=VALUE` with one of these names."""

    def read(text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        if name not in names or not value:
            raise argparse.ArgumentTypeError(f"{text}: takes {' and '.join(f'{each}=FILE' for each in names)}")
        return name, value

    return read


def parser(verb: str) -> Parser:
    """Return the parser of a verb. Raises ConfigError with the nearest verb if there is no such verb."""
    found = parsers()
    if verb not in found:
        raise ConfigError([f"{verb}: no such stage or verb{suggest(verb, [name for name in found if found[name].get_default('group')])}"])
    return found[verb]


def parse(verb: str, arguments: list[str]) -> argparse.Namespace:
    """Return a verb's parsed arguments. Raises InputError with the usage if they are wrong."""
    return parser(verb).parse_args(arguments)


def call(verb: str) -> Callable[[list[str]], int | None]:
    """Return the function of a verb: (arguments) -> exit code, None for 0."""
    module, _, name = parser(verb).get_default("call").partition(".")
    function = getattr(importlib.import_module(f"fmcycle.cli.{module}"), name)
    return partial(function, verb) if name == "run" else function


def usage(verb: str, arguments: list[str] | None = None) -> str:
    """Return the help of one verb; that of a stage has its groups and options."""
    own = parser(verb)
    if own.get_default("call") == "experiment.run" and verb != "plan":
        from fmcycle.cli import view

        named = [text.partition("=")[2] for text in arguments or () if text.startswith("stage=")]
        own.epilog = view.groups(verb if verb != "train" else named[-1] if named else None, own.prog)
    return own.format_help()


def overview() -> str:
    """Return the help of fmcycle: every verb in its group, one sentence each."""
    found, lines = parsers(), []
    for group, about in GROUPS.items():
        lines += ["", f"{group}: {about}"]
        lines += [f"  {name:<20} {each.description}" for name, each in found.items() if each.get_default("group") == group]
    return OVERVIEW.format(groups="\n".join(lines))


def version() -> str:
    """Return the version of fmcycle; that of its sources if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version("fmcycle")
    except metadata.PackageNotFoundError:
        import tomllib

        return tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["version"]


def lineage(arguments: list[str]) -> None:
    """Print the tree of inputs behind an artifact."""
    from fmcycle.cli import lineage as tree
    from fmcycle.config.paths import nearest, repair

    path = parse("lineage", arguments).path
    if not Path(path).exists():
        near = nearest(path)
        raise InputError(f"{path} is not there; {f'did you mean {near}?' if near else repair(Path(path))}")
    tree.show(path)


def gate(arguments: list[str]) -> None:
    """Raises GateError if the package failed its gate."""
    from fmcycle.serving import deploy

    package = parse("gate", arguments).package
    deploy.gate(package)
    print(f"{package}: passed its gate; `bentoml serve` serves it")


def deploy(arguments: list[str]) -> None:
    """Serve a package instead of the current one."""
    from fmcycle.serving import deploy as deployment

    print(deployment.deploy(parse("deploy", arguments).package))


def feedback(arguments: list[str]) -> None:
    """Export the new rows of the feedback store."""
    from fmcycle.serving.export import export

    parse("feedback", arguments)
    print(export())


def compose(arguments: list[str]) -> None:
    """Write params.yaml's selection, resolved, into one file."""
    import yaml

    from fmcycle.artifact import atomic
    from fmcycle.config import selection
    from fmcycle.runner import outs

    settings: dict[str, Any] = dict(parse("compose", arguments).settings)
    out = settings.get("out", "artifacts/config.yaml")
    outs.claim_config(Path(out))
    atomic.write_text(out, yaml.safe_dump(selection.pipeline(settings.get("selection", "params.yaml")), sort_keys=True, width=120))
    print(f"{out}: {len(groups.stages())} stages")
