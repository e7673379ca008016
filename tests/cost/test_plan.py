"""A run is planned before any work: said, refused with what would fit, chosen to fit, and written beside what it cost."""

import json
from types import SimpleNamespace

import pytest

from fmcycle.cli import main
from fmcycle.cost import ledger, limits, plan
from fmcycle.errors import InputError
from fmcycle.training.trainer import Machine

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256}
ROOM = (50_000_000_000, 400_000_000.0)


def config(**parts) -> SimpleNamespace:
    common = {
        "model": {"_target_": "transformers.LlamaForCausalLM", "vocab_size": 512, "tie_word_embeddings": True, **SIZES},
        "objective": {"_target_": "fmcycle.objective.next_token.NextToken"},
        "strategy": {"_target_": "fmcycle.strategy.full.full", "_partial_": True},
        "optimizer": {"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True},
        "budget": {"_target_": "fmcycle.training.budget.Budget", "max_steps": 100, "global_batch": 8},
        "data": {},
    }
    return SimpleNamespace(**{"inputs": {}} | common | parts)


def limited(**limit) -> SimpleNamespace:
    price = {"_target_": "fmcycle.cost.step_cost.Price", "device_hour": 36.0}
    return config(limit={"_target_": "fmcycle.cost.step_cost.Limit", **limit}, price=price)


ROWS = plan.Rows(48)
MACHINE = Machine(threads=1)


@pytest.fixture(autouse=True)
def elsewhere(project):
    """No ledger but the test's own."""


def test_what_fits_is_not_refused():
    machine, said = limits.settled(config(), ROWS, MACHINE, ROOM)
    limits.check(config(), ROWS, machine, said)
    assert said.tokens == 100 * 8 * 48 and said.micro == 8 and said.money is None
    assert said.peak[1] < said.peak[0] < said.peak[2] < ROOM[0] and said.seconds[1] < said.seconds[0] < said.seconds[2]


def test_memory_that_is_not_there_is_refused_with_a_micro_batch_that_fits():
    whole, half = (plan.needed(config(), ROWS, Machine(threads=1, micro_batch=micro), ROOM[1])[0] for micro in (8, 4))
    room = (int((whole + half) / 2), ROOM[1])
    with pytest.raises(InputError, match=r"not begun: .* GB are there\. It would fit with trainer\.micro_batch=(\d+)$") as error:
        limits.check(config(), ROWS, MACHINE, plan.predict(config(), ROWS, MACHINE, room=room))
    fitting = Machine(threads=1, micro_batch=int(str(error.value).rpartition("=")[2]))
    said = plan.predict(config(), ROWS, fitting, room=room)
    limits.check(config(), ROWS, fitting, said)
    assert said.micro * said.accumulate == 8


def test_where_one_row_is_too_much_other_settings_are_computed():
    cfg = config()
    cfg.budget["global_batch"] = 2
    one = plan.needed(cfg, ROWS, Machine(threads=1, micro_batch=1), 0.0)[0]
    text, _, machine = limits.smaller(cfg, ROWS, MACHINE, (10**12, 0.0), 0.95 * one)
    assert plan.needed(cfg, ROWS, machine, 0.0)[0] <= 0.95 * one
    assert text.startswith("trainer=fsdp trainer.devices=2 ") and machine.strategy == "fsdp" and machine.gradient_checkpointing


def test_a_stated_budget_is_kept_with_fewer_steps():
    said = plan.predict(limited(), ROWS, MACHINE, room=ROOM)
    for limit in ({"minutes": 0.6 * said.minutes}, {"money": 0.6 * said.money}, {"minutes": 0.7 * said.minutes, "money": 0.6 * said.money}):
        said = plan.predict(limited(**limit), ROWS, MACHINE, room=ROOM)
        said.start, said.seconds = 0.0, tuple(said.minutes * 60 * part for part in (1, 0.9, 1.1))
        with pytest.raises(InputError, match=r"(minutes|EUR) and limit\.\w+ is .*budget\.max_steps=(59|60)$"):
            limits.check(limited(**limit), ROWS, MACHINE, said)
    with pytest.raises(InputError, match=r"limit\.gigabytes is 0\.001\. Nothing that was tried would fit"):
        limits.check(limited(gigabytes=0.001), ROWS, MACHINE, said)
    with pytest.raises(InputError, match="nothing is priced"):
        cfg = limited(money=1.0)
        cfg.price["device_hour"] = None
        limits.check(cfg, ROWS, MACHINE, plan.predict(cfg, ROWS, MACHINE, room=ROOM))


def test_the_micro_batch_is_chosen_to_fit():
    fit = Machine(threads=1, micro_batch="fit")
    assert limits.settled(config(), ROWS, fit, ROOM)[0].micro_batch == 8
    four = plan.needed(config(), ROWS, Machine(threads=1, micro_batch=4), ROOM[1])[0]
    machine, said = limits.settled(config(), ROWS, fit, (int(four / limits.RESERVE) + 1, ROOM[1]))
    assert machine.micro_batch == 4 and said.accumulate == 2
    assert machine.accumulate(8) * machine.micro(8) == 8


def test_sharding_divides_the_state():
    step = plan.predict(config(), ROWS, MACHINE, room=ROOM).cost
    sharded = plan.memory(step, Machine(devices=4, strategy="fsdp"))
    assert sharded < plan.memory(step, Machine(devices=2, strategy="fsdp")) < plan.memory(step, Machine(devices=2, strategy="ddp"))


def test_the_door_shows_a_plan_and_makes_nothing(project, capsys):
    before = sorted(path.relative_to(project) for path in project.rglob("*") if ".cache" not in path.parts)
    assert main.run(["plan", "pretrain", "model=llama_tiny", "budget.global_batch=4", "plan=json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["parameters"] > 1e5 and figures["tokens"] > 0 and "data.max_length" in figures["assumed"]
    assert main.experiment(["plan=true", "model=llama_tiny", "price=cpu", "limit.minutes=0.001"]) == 2
    shown = capsys.readouterr()
    assert "weights" in shown.out and "EUR" in shown.out and "limit.minutes is 0.001" in shown.err
    assert main.run(["plan", "pretrain", "model.hiden_size=3"]) == 2 and "did you mean hidden_size?" in capsys.readouterr().err
    assert main.run(["plan", "curate"]) == 2 and "does not train" in capsys.readouterr().err
    assert main.run(["plan"]) == 2 and main.experiment(["plan=maybe"]) == 2
    assert sorted(path.relative_to(project) for path in project.rglob("*") if ".cache" not in path.parts) == before


def test_a_ledger_corrects_the_plan():
    said = plan.predict(config(), ROWS, MACHINE, room=ROOM)
    entry = {
        "machine": said.machine,
        "raw": said.raw,
        "actual": {"seconds": 3 * said.raw["seconds"], "peak": said.raw["peak"], "start": 5.0},
    }
    for _ in range(9):
        ledger.append(entry)
    again = plan.predict(config(), ROWS, MACHINE, room=ROOM)
    assert again.seconds[0] == pytest.approx(again.raw["seconds"] * 3**0.9) and again.start == 5.0
