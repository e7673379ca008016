"""A run is planned before any work: said, refused with what would fit, chosen to fit, and written beside what it cost."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fmcycle.cli import main
from fmcycle.cost import ledger, limits, plan
from fmcycle.cost.step_cost import Limit, Price
from fmcycle.errors import InputError
from fmcycle.stage.train import recipe_of
from fmcycle.training.recipe import Recipe
from fmcycle.training.trainer import TrainerConfig

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256}
ROOM = (50_000_000_000, 400_000_000.0)


UNPRICED, NO_LIMIT = Price(), Limit()


def recipe(global_batch: int = 8, **machine) -> Recipe:
    """One of a small Llama, on rows of 48 tokens; machine: settings of the machine."""
    cfg = SimpleNamespace(
        inputs={},
        model={"_target_": "transformers.LlamaForCausalLM", "vocab_size": 512, "tie_word_embeddings": True, **SIZES},
        objective={"_target_": "fmcycle.objective.next_token.NextToken"},
        strategy={"_target_": "fmcycle.strategy.full.full", "_partial_": True},
        optimizer={"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True},
        budget={"_target_": "fmcycle.training.budget.Budget", "max_steps": 100, "global_batch": global_batch},
        trainer={"_target_": "fmcycle.training.trainer.TrainerConfig", "threads": 1, **machine},
    )
    return recipe_of(cfg, None, {"train": plan.Rows(48)})


@pytest.fixture(autouse=True)
def elsewhere(project):
    """No ledger but the test's own."""


def test_what_fits_is_not_refused():
    settled, said = limits.settled(recipe(), NO_LIMIT, UNPRICED, ROOM)
    limits.check(settled, said, NO_LIMIT)
    assert said.tokens == 100 * 8 * 48 and said.micro == 8 and said.money is None
    assert said.peak[1] < said.peak[0] < said.peak[2] < ROOM[0] and said.seconds[1] < said.seconds[0] < said.seconds[2]


def test_memory_that_is_not_there_is_refused_with_a_micro_batch_that_fits():
    whole, half = (plan.needed(recipe(micro_batch=micro), ROOM[1])[0] for micro in (8, 4))
    room = (int((whole + half) / 2), ROOM[1])
    with pytest.raises(InputError, match=r"not begun: .* GB are free\. It would fit with trainer\.micro_batch=(\d+)$") as error:
        limits.check(recipe(), plan.predict(recipe(), UNPRICED, room=room), NO_LIMIT)
    fitting = recipe(micro_batch=int(str(error.value).rpartition("=")[2]))
    said = plan.predict(fitting, UNPRICED, room=room)
    limits.check(fitting, said, NO_LIMIT)
    assert said.micro * said.accumulate == 8


def test_where_one_row_is_too_much_other_settings_are_computed():
    one = plan.needed(recipe(2, micro_batch=1), 0.0)[0]
    text, changed, size = limits.smaller(recipe(2), (10**12, 0.0), 0.95 * one, plan.longest(recipe(2)))
    assert size == plan.needed(changed, 0.0)[0]
    assert plan.needed(changed, 0.0)[0] <= 0.95 * one
    assert (
        text.startswith("trainer=fsdp trainer.devices=2 ") and changed.machine.strategy == "fsdp" and changed.machine.gradient_checkpointing
    )


def test_an_adapter_is_tried_where_nothing_else_fits(root, monkeypatch):
    monkeypatch.chdir(root)
    one = plan.needed(recipe(1, micro_batch=1, gradient_checkpointing=True), 0.0)[0]
    text, changed, _ = limits.smaller(recipe(1), (10**12, 0.0), 0.8 * one, plan.longest(recipe(1)))
    assert text == "strategy=lora trainer.micro_batch=1 trainer.gradient_checkpointing=true" and plan.needed(changed, 0.0)[0] <= 0.8 * one


def test_where_nothing_fits_the_least_is_named_with_what_it_needs(root, monkeypatch):
    monkeypatch.chdir(root)
    said = plan.predict(recipe(1), UNPRICED, room=(1000, 0.0))
    with pytest.raises(
        InputError, match=r"does not fit, .*the least, (strategy=lora )?trainer.micro_batch=1.*needs at least 0\.\d+ GB a device"
    ):
        limits.check(recipe(1), said, NO_LIMIT)


def test_a_state_that_is_too_large_alone_is_not_tried_with_fewer_rows(monkeypatch):
    tried, real = [], plan.work
    monkeypatch.setattr(plan, "work", lambda chosen, batch: tried.append(chosen.machine) or real(chosen, batch))
    step = plan.longest(recipe(2, micro_batch=1))
    limits.smaller(recipe(2), (10**12, 0.0), 0.5 * step.state, step)
    assert len(tried) <= 4 and all(machine.gradient_checkpointing for machine in tried[1:])


def test_a_stated_budget_is_kept_with_fewer_steps():
    price = Price(device_hour=36.0)
    said = plan.predict(recipe(), price, room=ROOM)
    for stated in (
        {"minutes": 0.6 * said.minutes},
        {"money": 0.6 * said.money},
        {"minutes": 0.7 * said.minutes, "money": 0.6 * said.money},
    ):
        said = plan.predict(recipe(), price, room=ROOM)
        said.start, said.seconds = 0.0, tuple(said.minutes * 60 * part for part in (1, 0.9, 1.1))
        with pytest.raises(InputError, match=r"(minutes|EUR) and limit\.\w+ is .*budget\.max_steps=(59|60)$"):
            limits.check(recipe(), said, Limit(**stated))
    with pytest.raises(InputError, match=r"limit\.gigabytes is 0\.001\. No setting that was tried fits"):
        limits.check(recipe(), said, Limit(gigabytes=0.001))
    with pytest.raises(InputError, match="there is no price"):
        limits.check(recipe(), plan.predict(recipe(), UNPRICED, room=ROOM), Limit(money=1.0))


def test_the_micro_batch_is_chosen_to_fit():
    fit = recipe(micro_batch="fit")
    assert limits.settled(fit, NO_LIMIT, UNPRICED, ROOM)[0].machine.micro_batch == 8
    four = plan.needed(recipe(micro_batch=4), ROOM[1])[0]
    settled, said = limits.settled(fit, NO_LIMIT, UNPRICED, (int(four / limits.RESERVE) + 1, ROOM[1]))
    assert settled.machine.micro_batch == 4 and said.accumulate == 2
    assert settled.machine.accumulate(8) * settled.machine.micro(8) == 8


def test_sharding_divides_the_state():
    step = plan.predict(recipe(), UNPRICED, room=ROOM).cost
    sharded = plan.memory(step, TrainerConfig(devices=4, strategy="fsdp"))
    assert (
        sharded < plan.memory(step, TrainerConfig(devices=2, strategy="fsdp")) < plan.memory(step, TrainerConfig(devices=2, strategy="ddp"))
    )


def test_the_door_shows_a_plan_and_makes_nothing(project, capsys):
    before = sorted(path.relative_to(project) for path in project.rglob("*") if ".cache" not in path.parts)
    assert main.main(["plan", "pretrain", "model=llama_tiny", "budget.global_batch=4", "plan=json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["parameters"] > 1e5 and figures["tokens"] > 0 and "data.max_length" in figures["assumed"]
    assert main.main(["train", "plan=true", "model=llama_tiny", "price=cpu", "limit.minutes=0.001"]) == 2
    shown = capsys.readouterr()
    assert "weights" in shown.out and "EUR" in shown.out and "limit.minutes is 0.001" in shown.err
    assert main.main(["plan", "pretrain", "model.hiden_size=3"]) == 2 and "did you mean hidden_size?" in capsys.readouterr().err
    assert main.main(["plan", "curate"]) == 2 and "does not train" in capsys.readouterr().err
    assert main.main(["plan"]) == 2 and main.main(["train", "plan=maybe"]) == 2
    assert sorted(path.relative_to(project) for path in project.rglob("*") if ".cache" not in path.parts) == before


def test_rows_of_one_s_own_are_planned_before_they_are_curated(project, material, capsys):
    (project / "mine.jsonl").write_text('{"instruction": "What does str.lower do?", "output": "It returns a copy."}\n')
    sizes = ["hidden_size=64", "num_hidden_layers=2", "num_attention_heads=4", "num_key_value_heads=4", "intermediate_size=128"]
    sizes += ["vocab_size=512", "max_position_embeddings=128"]
    chosen = [f"model.{each}" for each in sizes] + ["data.max_length=128", "model.tie_word_embeddings=false"]
    shutil.copytree(material / "model", "base")
    arguments = ["plan", "finetune", "inputs.model=base", "inputs.instructions=mine.jsonl", *chosen, "plan=json"]
    assert main.main(arguments) == 0, capsys.readouterr().err
    assert (
        "rows have 128 tokens at most (data.max_length), a batch 32 usually" in json.loads(capsys.readouterr().out)["assumed"]
        and not (project / "runs").exists()
    )


def test_missing_conversations_are_short_in_time_and_long_in_memory():
    cfg = recipe()
    long, short, mixed = (
        plan.predict(replace(cfg, data={"train": rows}), UNPRICED, room=ROOM)
        for rows in (plan.Rows(192), plan.Rows(48), plan.Rows(192, 48))
    )
    assert mixed.peak == long.peak and mixed.seconds == short.seconds and mixed.tokens == short.tokens
    assert short.peak[0] < long.peak[0] and short.seconds[0] < long.seconds[0]


def test_a_ledger_corrects_the_plan():
    said = plan.predict(recipe(), UNPRICED, room=ROOM)
    entry = {
        "machine": said.machine,
        "raw": said.raw,
        "actual": {"seconds": 3 * said.raw["seconds"], "peak": said.raw["peak"], "start": 5.0},
    }
    for _ in range(9):
        ledger.append(entry)
    again = plan.predict(recipe(), UNPRICED, room=ROOM)
    assert again.seconds[0] == pytest.approx(again.raw["seconds"] * 3**0.9) and again.start == 5.0
