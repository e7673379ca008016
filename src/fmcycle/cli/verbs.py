"""The verbs of the command line: the help and the function of each."""

import argparse
import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fmcycle.cli import examples
from fmcycle.cli.arguments import GROUPS, Parser, parsers
from fmcycle.config import groups
from fmcycle.errors import ConfigError, InputError, suggest

OVERVIEW = """usage: fmcycle VERB [argument ...]

fmcycle: from raw documents to a served, watched, improving foundation model.
{groups}

`fmcycle VERB --help` shows the arguments of a verb, `fmcycle --version` the version.

  python train.py model=llama_small strategy=lora      one experiment
  dvc repro                                            the whole lifecycle; only what is stale runs
  bentoml serve                                        the deployed model, with its feedback hook

exit codes: 0 done, 1 failed, 2 refused before any work, 3 refused by a gate, 75 interrupted and resumable"""


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
    """Return the help of one verb; that of a stage has its groups, options and keys."""
    own = parser(verb)
    parts = [examples.of(verb, own.prog), own.epilog]
    if verb == "train" or verb in groups.stages():
        from fmcycle.cli import stage_help, view

        named = [text.partition("=")[2] for text in arguments or () if text.startswith("stage=")]
        stage = verb if verb != "train" else named[-1] if named else None
        parts.append(view.groups(stage, own.prog))
        if stage:
            own.description = stage_help.paragraph(stage, str(parser(stage).description))
            parts.append(
                "\n".join(["The keys of these defaults, with what their yamls say.", *(f"  {each}" for each in stage_help.keys(stage))])
            )
    own.epilog = "\n\n".join(each.strip() for each in parts if each)
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
