"""A search that could not be made is refused when it is composed, before anything is judged."""

import json

import pytest
import yaml

from fmcycle.config import compose
from fmcycle.errors import ConfigError

CASES = {
    "space.optimizer.lr.low=0.01": "space.optimizer.lr: low 0.01 is not below high 0.002",
    "space.optimizer.lr.high=0.0001": "space.optimizer.lr: low 0.0001 is not below high 0.0001",
    "space.strategy.peft_config.r.values=[]": "space.strategy.peft_config.r.values is empty",
    "space.strategy.peft_config.r.values=[4,-8]": "space.strategy.peft_config.r: in candidates.align_again it must be a whole number",
    "+space.optimizer.rate={_target_: fmcycle.search.space.Choice, values: [1]}": (
        "space.optimizer.rate: candidates.align_again has no such key"
    ),
    "judge.instruction.half=both": "judge.instruction.half: must be first, not both: rows that choose must not confirm",
    "confirm.preference.half=first": "confirm.preference.half: must be second, not first",
    "+judge.fidelity={_target_: fmcycle.evaluation.fidelity.Fidelity, documents: x, reference: y}": "judge.fidelity: has no `half`",
    "incumbent=nobody": "incumbent nobody is not among the entrants aligned, finetuned",
}


@pytest.mark.parametrize("override", CASES)
def test_a_search_that_can_not_be_is_refused(override):
    with pytest.raises(ConfigError) as error:
        compose.compose(["stage=select", override])
    assert CASES[override] in "\n".join(error.value.problems)


@pytest.mark.parametrize("rows", ["chatt", "[1,-2]", "[1.5]", "{lm_head: chat}", "7"])
def test_token_rows_that_are_none_are_refused(rows):
    with pytest.raises(ConfigError, match="trainable_token_indices: must be chat, a list of token ids or null"):
        compose.compose([f"strategy.peft_config.trainable_token_indices={rows}"])


@pytest.mark.parametrize("rows", ["chat", "[1,2]", "[]", "null", "{lm_head: [3]}"])
def test_token_rows_may_be_named_or_left_out(rows):
    found = compose.compose([f"strategy.peft_config.trainable_token_indices={rows}"]).section["strategy"]["peft_config"]
    assert found["trainable_token_indices"] == yaml.safe_load(rows)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigError) as error:
        compose.compose(["stage=select", *list(CASES)[:1], *list(CASES)[2:3], "incumbent=nobody"])
    assert len(error.value.problems) == 3


SIZES = {  # what a model's own config.json says: what does not fit it
    '{"n_positions": 256, "n_embd": 32}': "data.max_length 512 exceeds the model's 256 positions: lower data.max_length",
    '{"text_config": {"max_position_embeddings": 511}}': "data.max_length 512 exceeds the model's 511 positions",
    '{"max_target_positions": 448}': "data.max_length 512 exceeds the model's 448 positions",
    '{"max_position_embeddings": 512, "hidden_size": 12}': "strategy.peft_config.r 16 exceeds the model's width 12",
}


@pytest.mark.parametrize("content", SIZES)
@pytest.mark.parametrize("keys", [("path",), ("path", "base")])
def test_a_model_that_has_its_weights_brings_its_own_sizes(tmp_path, content, keys):
    folders = [tmp_path / key for key in keys]
    for folder in folders:
        folder.mkdir()
    (folders[-1] / "config.json").write_text(content)
    given = ["model=pretrained", *(f"model.{folder.name}={folder}" for folder in folders)]
    with pytest.raises(ConfigError) as error:
        compose.compose(given)
    assert error.value.problems[0].startswith(SIZES[content]) and "raise model" not in SIZES[content]
    (folders[-1] / "config.json").write_text(json.dumps({"max_position_embeddings": 512, "hidden_size": 16}))
    compose.compose(given)
    (folders[-1] / "config.json").write_text("{")
    compose.compose(given)


def test_positions_inside_a_part_are_looked_at():
    with pytest.raises(ConfigError, match=r"data.max_length 128 exceeds the model's 77 positions: .* or raise model.text_config.max_pos"):
        compose.compose(["stage=pretrain", "experiment=clip_emoji", "data.max_length=128"])
