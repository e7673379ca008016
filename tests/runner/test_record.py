from fmcycle.config.compose import compose
from fmcycle.runner.record import differs


def test_a_choice_is_named_once_and_not_where_others_repeat_it():
    chosen = ["data=mixture", "model=llama_tiny", "budget.max_steps=3", "trainer.micro_batch=2"]  # the evaluation repeats data and budget
    assert differs(compose(["stage=pretrain", *chosen])) == {"data": "mixture", "model": "llama_tiny", "budget.max_steps": "3"}
