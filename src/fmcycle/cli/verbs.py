"""The verbs beside the stages: what each takes, its usage, and what it does."""

import argparse
import importlib
from pathlib import Path
from typing import NoReturn

from fmcycle.cli import lineage as cli_lineage
from fmcycle.config import groups, selection
from fmcycle.errors import InputError

PACKAGE = "artifacts/package"


class Parser(argparse.ArgumentParser):
    """argparse, with a wrong command line as an InputError: the usage, then what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.format_usage().strip()}\n{self.prog}: {message}")


def parser() -> tuple[Parser, dict[str, Parser]]:
    """(the whole command line, {verb: its own part})."""
    whole = Parser(prog="fmcycle", allow_abbrev=False)
    verbs = whole.add_subparsers(dest="verb", metavar="VERB", required=True)
    found: dict[str, Parser] = {}

    def add(name: str, about: str) -> Parser:
        found[name] = verbs.add_parser(name, description=about, allow_abbrev=False)
        return found[name]

    compose = add("compose", "Resolve params.yaml's selection into artifacts/config.yaml, one section a stage.")
    compose.add_argument("settings", nargs="*", metavar="selection=FILE|out=FILE", type=setting("selection", "out"))
    plan = add("plan", "What a training run would cost, and whether it fits; nothing is made.")
    plan.add_argument("stage", metavar="STAGE", help="pretrain, finetune, align or another stage that trains")
    plan.add_argument("overrides", nargs=argparse.REMAINDER, metavar="override", help="as for the stage itself; plan=json for programs")
    lineage = add("lineage", "The tree of inputs behind an artifact: who was made from what.")
    lineage.add_argument("path", nargs="?", default=PACKAGE, metavar="PATH", help=f"an artifact; default {PACKAGE}")
    runs = add("runs", "Every run and its state; of two, what differs in config, data, code and result.")
    runs.add_argument("runs", nargs="*", metavar="RUN", help="none: a table of all; two: what differs; a folder or an identity")
    models = add("models", "Every model of conf/model: family, size, licence, memory, what it was seen to reach.")
    models.add_argument("form", nargs="?", choices=["json"], help="one line a model, for programs")
    trace = add("trace", "A document's way into the models; what a rule removed; what differs between two versions of the data.")
    trace.usage = "fmcycle trace [-h] [curate=FOLDER] doc ID | rule NAME | diff A B"
    trace.add_argument("words", nargs="+", metavar="WORD", help="curate=FOLDER names another curation than artifacts/curate")
    forget = add("forget", "Everything that holds a source or a match; nothing is changed without --apply.")
    what = forget.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", metavar="NAME", help="a whole source")
    what.add_argument("--match", metavar="TEXT", help="rows with this text, whatever its case")
    what.add_argument("--regex", metavar="PATTERN", help="rows that match")
    forget.add_argument("--apply", action="store_true", help="take it out of sources/ and data/")
    for name, about in (
        ("gate", "Exit 3, with the reason, if a package failed its gate."),
        ("deploy", "Put a passing package in the place of the served one."),
    ):
        add(name, about).add_argument("package", nargs="?", default=PACKAGE, metavar="PACKAGE", help=f"default {PACKAGE}")
    add("feedback", "Write the feedback store's news into feedback/snapshots.").add_argument("action", choices=["export"])
    rank = add("rank", "One further process of a training run; the first process starts it, nobody else.")
    rank.add_argument("file", metavar="FILE", help="the config that the first process wrote")
    return whole, found


def setting(*names: str):
    """The type of an argument `NAME=VALUE` of one of these names."""

    def read(text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        if name not in names or not value:
            raise argparse.ArgumentTypeError(f"{text}: takes {' and '.join(f'{each}=FILE' for each in names)}")
        return name, value

    return read


def names() -> list[str]:
    """Every verb."""
    return list(parser()[1])


def parse(verb: str, arguments: list[str]) -> argparse.Namespace:
    """What a verb's arguments say. Raises InputError with the usage for any other."""
    return parser()[1][verb].parse_args(arguments)


def usage(verb: str) -> str:
    """The help of one verb."""
    return parser()[1][verb].format_help()


def run(verb: str, arguments: list[str]) -> int:
    """Do what a verb says; returns the exit code."""
    if verb in ("runs", "models", "trace", "forget"):
        return importlib.import_module(f"fmcycle.cli.{verb}").main(arguments)
    given = parse(verb, arguments)
    if verb == "compose":
        return compose(dict(given.settings))
    if verb == "lineage":
        there(given.path)
        cli_lineage.show(given.path)
    elif verb == "gate":
        from fmcycle.serving.deploy import gate

        gate(given.package)
        print(f"{given.package}: passed its gate; `bentoml serve` serves it")
    elif verb == "deploy":
        from fmcycle.serving.deploy import deploy

        print(deploy(given.package))
    elif verb == "feedback":
        from fmcycle.serving.export import export

        print(export())
    return 0


def there(path: str) -> None:
    """Raise InputError for a path that leads nowhere, with the nearest that is there."""
    from pathlib import Path

    from fmcycle.config.paths import nearest, repair

    if not Path(path).exists():
        near = nearest(path)
        raise InputError(f"{path} is not there; {f'did you mean {near}?' if near else repair(Path(path))}")


def compose(settings: dict[str, str]) -> int:
    """params.yaml's selection, resolved, into one file."""
    import yaml

    from fmcycle.artifact import atomic
    from fmcycle.runner import outs

    out = settings.get("out", "artifacts/config.yaml")
    outs.claim_config(Path(out))
    atomic.write_text(out, yaml.safe_dump(selection.pipeline(settings.get("selection", "params.yaml")), sort_keys=True, width=120))
    print(f"{out}: {len(groups.stages())} stages")
    return 0
