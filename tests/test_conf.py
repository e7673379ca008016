"""Every config composes, checks and builds."""

import pytest

from fmcycle.config import build, code_digest, compose, groups, selection, signature

STAGES = groups.stages()
EXPERIMENTS = sorted(file.stem for file in (compose.conf_dir() / "experiment").glob("*.yaml"))
PROCESSORS = groups.options("processor")
GROUPS = (
    "model",
    "objective",
    "strategy",
    "optimizer",
    "budget",
    "trainer",
    "processor",
    "data",
    "curation",
    "gate",
    "engine",
    "guardrail",
    "compress",
    "executor",
    "evaluation",
    "logger",
    "monitor",
    "price",
    "search",
)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_composes_and_its_digest_is_stable(stage):
    composed = compose.compose([f"stage={stage}"])
    assert composed.stage == stage
    assert code_digest.digest(composed.section) == code_digest.digest(compose.compose([f"stage={stage}"]).section)
    assert not set(composed.section) & set(groups.MACHINE)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_states_its_question(experiment):
    assert compose.compose([f"experiment={experiment}"]).section
    head = (compose.conf_dir() / f"experiment/{experiment}.yaml").read_text().splitlines()[:4]
    assert head[0] == "# @package _global_" and "?" in head[1] and any(f"experiment={experiment}" in line for line in head), head


@pytest.mark.parametrize(
    "option", [f"{group}={file.stem}" for group in GROUPS for file in sorted((compose.conf_dir() / group).glob("*.yaml"))]
)
def test_every_option_fits_a_stage_and_names_real_constructors(option):
    group = option.split("=")[0]
    stages = [stage for stage in STAGES if group in groups.stage_groups(stage)]
    assert stages, f"no stage has the group {group}"
    tried = []
    processors = [f"processor={file.stem}" for file in sorted((compose.conf_dir() / "processor").glob("*.yaml"))]
    for stage, *processor in [(stage,) for stage in stages] + [(stage, processor) for stage in stages for processor in processors]:
        if processor and (group == "processor" or "processor" not in groups.stage_groups(stage)):
            continue  # a model of pictures takes its sizes from a processor of pictures
        try:
            composed = compose.compose([f"stage={stage}", option, *processor])
        except compose.ConfigError as error:  # an objective may not fit a stage's data: it must fit one of them
            tried.append(str(error))
            continue
        for target in code_digest.targets(composed.section | composed.machine):
            assert callable(build.resolve(target)) and signature.read(target)
        return
    pytest.fail("\n".join(tried))


@pytest.mark.prove
@pytest.mark.parametrize("stage", STAGES)
def test_every_option_of_every_group_of_a_stage_builds(stage, tmp_path):
    """What composes is built, a model by its shapes alone; what wants a path that is not here is refused where paths are looked at."""
    import torch

    from fmcycle.config import paths
    from fmcycle.tracking import loggers

    for place, name in groups.places(stage).items():
        written = name if place == name else f"{name}@{place}"
        others = PROCESSORS if (stage, name) == ("pretrain", "model") else []  # where a model of pictures or sound is at home
        for option in groups.options(name):
            choice = [f"stage={stage}", *(selection.brought(option, stage) if name == "model" else ()), f"{written}={option}"]
            composed = next(filter(None, (tried([*choice, *each]) for each in ([], *([f"processor={other}"] for other in others)))), None)
            if composed is None or paths.problems(composed):
                continue
            node = composed.config()
            for part in place.split(".") if name != "search" else ["space"]:
                node = node[part]
            with torch.device("meta") if name == "model" else torch.device("cpu"):
                made = loggers.made(node, tmp_path) if name == "logger" else build.build(node)
            assert made is not None, (written, option)


def tried(overrides: list[str]):
    """The composed config, or None where the choices do not go together."""
    try:
        return compose.compose(overrides)
    except compose.ConfigError:
        return None
