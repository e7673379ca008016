"""Does a run fit into the memory that is there and the limits that were stated; and if not, with which settings would it?"""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import yaml

from fmcycle.config.build import build, conf_dir
from fmcycle.cost.plan import Plan, limit_of, needed, predict, price_of, room_of
from fmcycle.errors import InputError

RESERVE = 0.92  # of the memory that is there, for micro_batch=fit: others may take some meanwhile
NOTHING = "Nothing that was tried would fit: choose a smaller model, or another machine"
DEVICES = 64  # how many a repair by sharding may ask for


def settled(cfg, rows, machine, room: tuple[int, float] | None = None) -> tuple[Any, Plan]:
    """(the machine with its micro-batch chosen, the plan on it). room: as for `predict`."""
    if machine.micro_batch == "fit":
        room = room or room_of(machine)
        micro = largest(cfg, rows, machine, room, RESERVE * most(cfg, room[0]))
        machine = replace(machine, micro_batch=micro or 1)
    return machine, predict(cfg, rows, machine, room=room)


def problems(cfg, plan: Plan) -> list[str]:
    """What the run would exceed."""
    limit, found, size = limit_of(cfg), [], f"it needs {plan.peak[0] / 1e9:.2f} GB a device"
    if plan.peak[0] > plan.capacity:
        found.append(f"{size} and {plan.capacity / 1e9:.2f} GB are there")
    if limit.gigabytes and plan.peak[0] > limit.gigabytes * 1e9:
        found.append(f"{size} and limit.gigabytes is {limit.gigabytes:g}")
    if limit.minutes and plan.minutes > limit.minutes:
        found.append(f"it takes {plan.minutes:.1f} minutes and limit.minutes is {limit.minutes:g}")
    if limit.money and plan.money is None:
        found.append(f"limit.money is {limit.money:g} and nothing is priced: choose price=cpu or write conf/price")
    if limit.money and plan.money and plan.money > limit.money:
        found.append(f"it costs {plan.money:.2f} {price_of(cfg).currency} and limit.money is {limit.money:g}")
    return found


def check(cfg, rows, machine, plan: Plan) -> None:
    """Raises InputError where the plan exceeds what is there or was stated, with the settings that would fit."""
    if found := problems(cfg, plan):
        repair = repaired(cfg, rows, machine, plan)
        raise InputError(f"not begun: {'; '.join(found)}. {f'It would fit with {repair}' if repair else NOTHING}")


def repaired(cfg, rows, machine, plan: Plan) -> str:
    """The settings, each computed, with which the run would fit; empty where none does."""
    limit, room, changes = limit_of(cfg), (plan.capacity, plan.own), []
    if limit.money and plan.money is None:
        return ""
    if plan.peak[0] > most(cfg, plan.capacity):
        smallest = smaller(cfg, rows, machine, room, most(cfg, plan.capacity))
        if smallest is None:
            return ""
        text, cfg, machine = smallest
        changes, plan = [text], predict(cfg, rows, machine, room=room)
    seconds = [limit.minutes * 60] if limit.minutes else []
    if limit.money and plan.money:
        seconds.append(limit.money / plan.money * plan.minutes * 60)
    if seconds and plan.minutes * 60 > min(seconds):
        steps = math.floor(plan.steps * (min(seconds) - plan.start) / plan.seconds[0])
        if steps < 1:
            return ""
        changes.append(f"budget.max_steps={steps}")
    return " ".join(changes)


def most(cfg, capacity: int) -> float:
    """Bytes that the run may take."""
    limit = limit_of(cfg)
    return min(capacity, limit.gigabytes * 1e9 if limit.gigabytes else math.inf)


def smaller(cfg, rows, machine, room, most: float) -> tuple[str, Any, Any] | None:
    """(overrides, config, machine): smaller micro-batches, else layers computed again, else sharding, else an adapter; None: too large."""
    for candidate in [machine] if machine.gradient_checkpointing else [machine, replace(machine, gradient_checkpointing=True)]:
        if micro := largest(cfg, rows, candidate, room, most):
            return _overrides(machine, candidate, micro), cfg, replace(candidate, micro_batch=micro)
    least = replace(candidate, micro_batch=1)
    for devices in (n for n in range(machine.world + 1, DEVICES + 1) if build(cfg.budget).global_batch % n == 0):
        sharded = replace(least, devices=devices, num_nodes=1, strategy="fsdp")
        if needed(cfg, rows, sharded, room[1])[0] <= most:
            return f"trainer=fsdp trainer.devices={devices} {_overrides(machine, sharded, 1)}", cfg, sharded
    lora = yaml.safe_load((conf_dir() / "strategy/lora.yaml").read_text())
    if cfg.strategy["_target_"] != lora["_target_"]:
        light = SimpleNamespace(**vars(cfg) | {"strategy": lora})
        if micro := largest(light, rows, least, room, most):
            return f"strategy=lora {_overrides(machine, least, micro)}", light, replace(least, micro_batch=micro)
    return None


def _overrides(before, after, micro: int) -> str:
    again = " trainer.gradient_checkpointing=true" if after.gradient_checkpointing and not before.gradient_checkpointing else ""
    return f"trainer.micro_batch={micro}{again}"


def largest(cfg, rows, machine, room, most: float) -> int | None:
    """The largest micro-batch that divides a device's rows of a step and needs at most `most` bytes, by halving the choices."""
    share = build(cfg.budget).global_batch // machine.world
    choices = [micro for micro in range(1, share + 1) if share % micro == 0]
    low, high = 0, len(choices)  # choices before `low` fit, those from `high` on do not
    while low < high:
        middle = (low + high) // 2
        fits = needed(cfg, rows, replace(machine, micro_batch=choices[middle]), room[1])[0] <= most
        low, high = (middle + 1, high) if fits else (low, middle)
    return choices[low - 1] if low else None
