"""An override that does not fit is answered with the one that does."""

import pytest

from fmcycle.config import compose
from fmcycle.errors import ConfigError

CASES = {
    "evaluation=[lm_eval]": "evaluation=lm_eval: no such option in conf/evaluation; there is accuracy, bits_per_byte",
    "evaluation=[instructon,safty]": "evaluation=safty: no such option in conf/evaluation; did you mean safety?",
    "logger=[tensorbord]": "logger=tensorbord: no such option in conf/logger; did you mean tensorboard?",
    "strategy.peft_config.use_dora=true": "not in conf/strategy/lora.yaml, but peft.LoraConfig takes it: add it with "
    "+strategy.peft_config.use_dora=true",
    "data.where={task: [unknown]}": "data.where: not in conf/data/instructions.yaml, but fmcycle.data.table.Table takes it: add it with "
    "+data.where={task: [unknown]}",
    "data.wher={task: [unknown]}": "did you mean where? It may be added with +data.where=",
    "evaluation.safety.per_kind=1": "safety is not among the chosen options of evaluation: choose it too, evaluation=[instruction,safety]",
    "processor=image": "model.vocab_size: reads processor.vocab_size, which processor=image does not have; choose one that has: bpe, ",
    "evaluation=[domain_shift]": "evaluation.domain_shift.domain: reads inputs.domain_documents, and stage finetune has no such input: add "
    "+inputs.domain_documents=PATH",
    "optimizer.lr=null": "optimizer.lr: must be a number above 0, not None (conf/optimizer/adamw.yaml)",
    "data.max_length=null": "data.max_length: must be a whole number of at least 1, not None",
    "strategy.peft_config.r=null": "strategy.peft_config.r: must be",
    "inputs.instructions=": "inputs.instructions: must be a path, not ''",
    "inputs.instructions=7": "inputs.instructions: must be a path, not 7",
    "out=": "out: must be a path, not ''",
    "limit=5": "limit=5: no such option in conf/limit; there is none",
    "evaluation=[1]": "evaluation=1: no such option in conf/evaluation",
    "budget=null": "budget=null: no such option in conf/budget",
}


@pytest.mark.parametrize("override", CASES)
def test_it_is_refused_with_what_fits(override, project):
    with pytest.raises(ConfigError) as error:
        compose.compose(["stage=finetune", override])
    assert CASES[override] in "\n".join(error.value.problems)


def test_a_list_for_another_place_is_named_as_it_was_written(project):
    with pytest.raises(ConfigError, match=r"evaluation@judge=instructon: no such option in conf/evaluation; did you mean instruction\?"):
        compose.compose(["stage=select", "evaluation@judge=[instructon]"])


def test_what_is_added_as_it_was_said_composes(project):
    composed = compose.compose(["stage=finetune", "+strategy.peft_config.use_dora=true", "+data.where={task: [unknown]}"])
    assert composed.section["strategy"]["peft_config"]["use_dora"] is True and composed.section["data"]["where"] == {"task": ["unknown"]}


def test_the_stage_that_has_no_such_group_is_the_experiments(project):
    with pytest.raises(ConfigError, match=r"evaluation=safety: stage curate has no group evaluation"):
        compose.compose(["experiment=curate_digits", "evaluation=[safety]"])


@pytest.mark.parametrize("word", ["evaluation=[lm_eval],[safety]", "strategy=lorra,full"])
def test_in_a_sweep_too(word, project, fmcycle):
    found = fmcycle("finetune", "-m", word)
    assert found.returncode == 2 and "no such option in conf/" in found.stderr and "Traceback" not in found.stderr
