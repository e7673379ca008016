"""The command line: `fmcycle STAGE [override ...]` and the few verbs beside it."""

import os
import sys
import traceback

from fmcycle.hardware import threads

HELP = """fmcycle: from raw documents to a served, watched, improving foundation model.

  fmcycle STAGE [override ...]     run a stage by hand: {stages}
                                   --cfg job shows its config, --help its groups, -m sweeps (strategy=lora,full)
  fmcycle plan STAGE [override ...]  what a training run would cost, and whether it fits; plan=json for programs
  fmcycle compose                  params.yaml's selection, resolved, into artifacts/config.yaml
  fmcycle lineage PATH             who was made from what
  fmcycle runs [A B]               every run and its state; what differs between two in config, data, code and result
  fmcycle models                   every model of conf/model: family, size, licence, memory, what it was seen to reach
  fmcycle trace doc ID|rule NAME|diff A B  a document's way into the models; what a rule removed; two data versions
  fmcycle forget --source NAME     everything that holds a source, --match TEXT or --regex PATTERN; --apply takes it out
  fmcycle gate [PACKAGE]           exit 3, with the reason, where the package failed its gate
  fmcycle deploy [PACKAGE]         put a passing package in the place of the served one
  fmcycle feedback export          write the feedback store's news into feedback/snapshots

  python train.py model=llama_small strategy=lora      one experiment
  dvc repro                                            the whole lifecycle; only what is stale runs
  bentoml serve                                        the deployed model, with its feedback hook

exit codes: 0 done, 1 failed, 2 refused before any work, 3 a gate said no, 75 interrupted and resumable
"""


def main() -> None:
    """The console script."""
    threads.settle()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        from pathlib import Path

        own = Path("conf/stage") if Path("conf/config.yaml").is_file() else _shipped_stages()
        print(HELP.format(stages=" ".join(sorted(file.stem for file in own.glob("*.yaml")))), end="")
        return 0
    verb, *rest = arguments
    from fmcycle.cli import verbs

    if verb not in verbs.names():
        return guarded(_stage, verb, rest)
    if {"-h", "--help"} & set(rest):
        print(verbs.usage(verb), end="")
        return 0
    own = {"plan": _plan, "rank": _rank}
    return guarded(own[verb], rest) if verb in own else guarded(verbs.run, verb, rest)


def _shipped_stages():
    from pathlib import Path

    here = Path(__file__).parents[1]
    return next(folder for folder in (here / "conf/stage", here.parents[1] / "conf/stage") if folder.is_dir())


def guarded(function, *arguments) -> int:
    """Call `function`; turn an error of ours into one message and its exit code, any other into its traceback and 1."""
    from fmcycle.distributed import rank
    from fmcycle.errors import ConfigError, InputError

    try:
        return function(*arguments) or 0
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return error.exit_code
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 75
    except Exception as error:
        rank.end_with_others(error)
        code = getattr(error, "exit_code", None)
        if code is None:
            traceback.print_exc()
        else:
            print(error, file=sys.stderr)
        return code or 1


def experiment(arguments: list[str]) -> int:
    """train.py: a training stage, finetune where none is named."""
    threads.settle()
    return guarded(_ranks, arguments)


def _ranks(arguments: list[str]) -> int:
    """The first process of a job composes and leads; the others do what it says (`fmcycle.distributed.rank`)."""
    from fmcycle.distributed import rank

    if not rank.first():
        from fmcycle.runner.run import join

        return rank.follow(join)
    with rank.leading():
        return guarded(_hydra, arguments)


def _rank(arguments: list[str]) -> int:
    """`fmcycle rank FILE`: what the first process starts once for every other device of its node."""
    from pathlib import Path

    import yaml

    from fmcycle.cli.verbs import parse
    from fmcycle.distributed import rank
    from fmcycle.runner.run import die_with_parent, join

    given = parse("rank", arguments)
    die_with_parent()
    rank.job = Path(given.file)
    try:
        with open(rank.job) as file:
            join(yaml.safe_load(file))
    except BaseException as error:
        rank.fail(error)
    return 0


def _stage(verb: str, arguments: list[str]) -> int:
    from fmcycle.cli.verbs import names
    from fmcycle.config.groups import stages
    from fmcycle.errors import ConfigError, suggest

    if verb not in stages():
        raise ConfigError([f"{verb}: no such stage or verb{suggest(verb, [*stages(), *names()])}"])
    return _ranks([f"stage={verb}", *arguments])


def _plan(arguments: list[str]) -> int:
    from fmcycle.cli.verbs import parse

    given = parse("plan", arguments)
    return _hydra([f"stage={given.stage}", "plan=true", *given.overrides])


def _hydra(arguments: list[str]) -> int:
    from fmcycle.cli import command_line, view
    from fmcycle.config import compose

    flags, overrides = command_line.expand(arguments)
    if "--help" in flags:
        stage = next((text.split("=", 1)[1] for text in overrides if text.startswith("stage=")), None)
        print(view.groups(stage, f"fmcycle {stage}" if stage else "python train.py"), end="")
        return 0
    form, shown, sweep = _form_of_plan(flags), _value(flags, "--cfg"), "--multirun" in flags
    jobs = _jobs(overrides) if sweep else [overrides]
    if not {"--hydra-help", "--version", "--info"} & set(flags):
        _composed(jobs)
    if shown == "job":
        print(view.config(jobs, _value(flags, "--package"), "--resolve" in flags), end="")
        return 0
    if form != "false" and shown is None:
        from fmcycle.cli.plan import show

        return max(guarded(show, job, form) for job in jobs)
    if shown is None and not {"--hydra-help", "--info", "-i"} & set(flags):
        _looked_at(jobs)
    if sweep and (shown or {"--hydra-help", "--info", "-i"} & set(flags)):
        raise compose.ConfigError([f"{' '.join(flags)}: of a sweep `--cfg job` shows every job's config; leave -m out for any other view"])
    return _hand_over(flags, overrides)


def _composed(jobs: list[list[str]]) -> None:
    """Compose every job; raises ConfigError with the problems of all."""
    from fmcycle.config import compose

    problems: dict[str, None] = {}
    for job in jobs:
        try:
            compose.compose(job)
        except compose.ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise compose.ConfigError(list(problems))


def _looked_at(jobs: list[list[str]]) -> None:
    """Look at every path of every job before the first one runs; raises ConfigError with all that lead nowhere."""
    from fmcycle.config import compose
    from fmcycle.runner.inputs import wrong_paths

    problems = dict.fromkeys(line for job in jobs for line in wrong_paths(compose.compose(job)))
    if problems:
        raise compose.ConfigError(list(problems))


def _value(flags: list[str], *names: str) -> str | None:
    """The value of a flag, `--cfg job` or `--cfg=job`."""
    for place, flag in enumerate(flags):
        name, _, value = flag.partition("=")
        if name in names:
            return value or next(iter(flags[place + 1 : place + 2]), "")
    return None


def _shown(flags: list[str]) -> str | None:
    """Which config `--cfg` asks for: job, hydra or all."""
    from fmcycle.errors import ConfigError

    if (asked := _value(flags, "--cfg", "-c")) not in (None, "job", "hydra", "all"):
        raise ConfigError([f"--cfg: must be job, hydra or all, not {asked or 'nothing'}"])
    return asked


def _form_of_plan(flags: list[str]) -> str:
    """ "true" or "json" where it is the cost that is asked for, else "false"; `plan=` is taken out of `flags`."""
    from fmcycle.errors import ConfigError

    asked = [text.split("=", 1)[1].lower() for text in flags if text.startswith("plan=")]
    flags[:] = [text for text in flags if not text.startswith("plan=")]
    if wrong := [value for value in asked if value not in ("true", "json", "false")]:
        raise ConfigError([f"plan: must be true, json or false, not {wrong[0]}"])
    return asked[-1] if asked else "false"


def _jobs(overrides: list[str]) -> list[list[str]]:
    """The override lists of a multirun, as Hydra's basic sweeper splits them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    batches = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), max_batch_size=None)
    return [job for batch in batches for job in batch]


def _hand_over(flags: list[str], overrides: list[str]) -> int:
    """Let Hydra run it: one job, a multirun, or one of its views."""
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from fmcycle.config import compose, groups
    from fmcycle.errors import JobError

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # our own errors are caught inside; what is left is a bug and shows where
    source = str(compose.__file__).rpartition("/fmcycle/")[0]
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])  # a launcher's jobs find us too
    codes, here = [], os.getpid()

    def task(cfg) -> None:
        from fmcycle.runner.run import perform_job

        codes.append(guarded(perform_job, list(HydraConfig.get().overrides.task)))
        if codes[-1] and os.getpid() != here:  # in a process of submitit's: it reports to the one that waits for it by an exception
            raise JobError(codes[-1], str(HydraConfig.get().launcher.submitit_folder).replace("/%j", ""))

    sys.argv = [sys.argv[0], *flags, groups.search_path(), *overrides]
    hydra.main(version_base="1.3", config_path=str(compose.conf_dir()), config_name="config")(task)()
    return max(codes, default=0)


if __name__ == "__main__":
    main()
