"""`--help` is true: every key that it lists is in the composed config with that value, and every example is a command that parses."""

import shlex

import pytest
from omegaconf import OmegaConf

from fmcycle.cli import command_line, main, stage_help, verbs
from fmcycle.config import compose, groups, signature

MISSING = object()


@pytest.mark.parametrize("stage", groups.stages())
def test_each_key_of_the_help_is_in_the_config_with_that_value(stage, project):
    lines = stage_help.keys(stage)
    raw = compose.compose([f"stage={stage}"]).raw
    shown = dict(line.partition("  # ")[0].rstrip().split("=", 1) for line in lines)
    assert len(shown) == len(lines) > 0
    for key, text in shown.items():
        node, _, name = key.rpartition(".")
        holder = OmegaConf.select(raw, node) if node else raw
        value = OmegaConf.to_container(holder, resolve=False).get(name, MISSING)
        assert value is not MISSING and stage_help._shown(value) == text, key
    comments = [line.partition("  # ")[2] for line in lines if "  # " in line]
    assert all(comments) and (comments or stage in ("convert", "monitor", "package", "processor"))


@pytest.mark.parametrize("stage", groups.stages())
def test_one_paragraph_says_what_a_stage_does_reads_and_writes(stage, project, capsys):
    assert main.main([stage, "--help"]) == 0
    said = capsys.readouterr().out
    text = " ".join(stage_help.paragraph(stage, verbs.parsers()[stage].description).split())
    assert text in " ".join(said.split()) and f"runs/{stage}/IDENTITY/out" in text
    for name, value in (groups.content("stage", stage).get("inputs") or {}).items():
        assert (f"inputs.{name}" in text) == (value is not None and not value.startswith("made:")), name
    for name in stage_help._constant(groups.content("stage", stage)["_target_"], "WRITES"):
        assert name in text
    assert signature.read(groups.content("stage", stage)["_target_"])


@pytest.mark.parametrize("verb", [name for name, each in verbs.parsers().items() if each.get_default("group") or name == "train"])
def test_the_help_of_every_verb_has_an_example_that_it_takes(verb, project, capsys):
    assert main.main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert "\nexample:\n  " in said, verb
    words = shlex.split(said.partition("\nexample:\n  ")[2].splitlines()[0])
    words = words[2:]  # behind `fmcycle VERB` or `python train.py`
    verbs.parse(verb, words)
    if verb in groups.stages() or verb == "train":
        overrides = command_line.expand([*([f"stage={verb}"] if verb != "train" else []), *words])[1]
        assert compose.compose(overrides).stage == (verb if verb != "train" else "finetune")
