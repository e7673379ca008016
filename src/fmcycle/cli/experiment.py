"""Runs a stage from the command line: one run, a sweep, its plan, or a view of its config."""

import os
import sys

from fmcycle.cli import command_line, verbs, view
from fmcycle.cli.outcome import told
from fmcycle.config import compose, groups
from fmcycle.distributed import rank
from fmcycle.errors import ConfigError, JobError


def run(verb: str, arguments: list[str]) -> int:
    """Run the verb of a stage, `plan` or `train`; return the exit code.

    The first process of a job composes and leads; the others follow it (`fmcycle.distributed.rank`).
    """
    from fmcycle.runner import inputs
    from fmcycle.runner import run as runner

    if not rank.first():
        return rank.follow(runner.join)
    with rank.leading(), told() as end:
        flags, overrides = command_line.expand(stage_first(verb, arguments))
        form = form_of_plan(flags)
        given = verbs.parse("train", [*flags, *overrides])
        jobs = split(overrides) if given.multirun else [overrides]
        runs = form == "false" and not (given.cfg or given.info or given.hydra_help)
        composed = [] if given.hydra_help or given.info else every(jobs, inputs.wrong_paths if runs else None)
        if given.cfg == "job":
            print(view.config(jobs, given.package, given.resolve), end="")
        elif form != "false" and not given.cfg:
            end.code = planned(composed, form)
        elif runs and not given.multirun:
            imports_for_children()
            runner.perform(composed[0])
        else:
            end.code = hand_over(flags, overrides, runs)
    return end.code


def stage_first(verb: str, arguments: list[str]) -> list[str]:
    """Return the words of a verb as those of `train`, which takes its stage as an override."""
    if verb == "plan":
        given = verbs.parse("plan", arguments)
        return [f"stage={given.stage}", "plan=true", *given.overrides]
    return arguments if verb == "train" else [f"stage={verb}", *arguments]


def every(jobs: list[list[str]], check) -> list[compose.Composed]:
    """Compose and check every job before the first one runs. Raises ConfigError with the problems of all jobs.

    check: (Composed) -> problems, None for no further check.
    """
    problems: dict[str, None] = {}
    composed = []
    for job in jobs:
        try:
            composed.append(compose.compose(job))
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    if problems := problems or dict.fromkeys(line for each in composed if check for line in check(each)):
        raise ConfigError(list(problems))
    return composed


def planned(jobs: list[compose.Composed], form: str) -> int:
    """Show the plan of each job; return the highest of their exit codes."""
    from fmcycle.cli import plan

    codes = []
    for job in jobs:
        with told() as end:
            plan.show(job, form)
        codes.append(end.code)
    return max(codes)


def form_of_plan(flags: list[str]) -> str:
    """Return "true" or "json" if `flags` ask for a plan, else "false"; remove `plan=` from `flags`."""
    asked = [text.split("=", 1)[1].lower() for text in flags if text.startswith("plan=")]
    flags[:] = [text for text in flags if not text.startswith("plan=")]
    if wrong := [value for value in asked if value not in ("true", "json", "false")]:
        raise ConfigError([f"plan: must be true, json or false, not {wrong[0]}"])
    return asked[-1] if asked else "false"


def split(overrides: list[str]) -> list[list[str]]:
    """Return the override lists of a multirun, as Hydra's basic sweeper splits them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    batches = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), max_batch_size=None)
    return [job for batch in batches for job in batch]


def imports_for_children() -> None:
    """Let the ranks and jobs that this process starts import fmcycle from the same place."""
    source = str(compose.__file__).rpartition("/fmcycle/")[0]
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])


def hand_over(flags: list[str], overrides: list[str], runs: bool) -> int:
    """Let Hydra run a sweep, or show one of its views."""
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from fmcycle.runner import run as runner

    if "--multirun" in flags and not runs:
        raise ConfigError([f"{' '.join(flags)}: a sweep has only the view `--cfg job`, every job's config; leave -m out for any other"])
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # fmcycle's errors are caught inside; any other is a bug and needs its traceback
    imports_for_children()
    codes, here = [], os.getpid()

    def task(cfg) -> None:
        with told() as end:
            runner.perform_job(list(HydraConfig.get().overrides.task))
        codes.append(end.code)
        if end.code and os.getpid() != here:  # in a process of submitit: an exception reports the code to the process that waits
            raise JobError(end.code, str(HydraConfig.get().launcher.submitit_folder).replace("/%j", ""))

    sys.argv = [sys.argv[0], *flags, groups.search_path(), *overrides]
    hydra.main(version_base="1.3", config_path=str(compose.conf_dir()), config_name="config")(task)()
    return max(codes, default=0)


def follow_file(arguments: list[str]) -> None:
    """`fmcycle rank FILE`: the first process starts it once for every other device of its node."""
    from pathlib import Path

    import yaml

    from fmcycle.runner import run as runner

    given = verbs.parse("rank", arguments)
    runner.die_with_parent()
    rank.job = Path(given.file)
    try:
        with open(rank.job) as file:
            runner.join(yaml.safe_load(file))
    except BaseException as error:
        rank.fail(error)
