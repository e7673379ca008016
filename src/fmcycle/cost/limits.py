"""Checks whether a run fits into the free memory and the limits of the config, and finds settings with which it would."""

import math
from dataclasses import replace

import yaml

from fmcycle.config.build import build, conf_dir
from fmcycle.cost.plan import Plan, needed, predict, room_of
from fmcycle.cost.step_cost import Limit, Price
from fmcycle.errors import InputError
from fmcycle.model.adapter import with_tokens
from fmcycle.training.recipe import Recipe

RESERVE = 0.92  # of the free memory, for micro_batch=fit: other processes may take some meanwhile
NOTHING = "No setting that was tried fits: choose a smaller model, or another machine"
DEVICES = 64  # most devices that a proposal to shard may ask for


def settled(recipe: Recipe, limit: Limit, price: Price, room: tuple[int, float] | None = None) -> tuple[Recipe, Plan]:
    """Return (the recipe with its micro-batch chosen, its plan). room: as for `predict`."""
    if recipe.machine.micro_batch == "fit":
        room = room or room_of(recipe.machine)
        micro = largest(recipe, room, RESERVE * most(limit, room[0]))
        recipe = on(recipe, micro_batch=micro or 1)
    return recipe, predict(recipe, price, room=room)


def on(recipe: Recipe, **changed) -> Recipe:
    """Return `recipe` with some settings of its machine `changed`."""
    return replace(recipe, machine=replace(recipe.machine, **changed))


def problems(plan: Plan, limit: Limit) -> list[str]:
    """Return a clause for each limit that the run would exceed."""
    found, size = [], f"it needs {plan.peak[0] / 1e9:.2f} GB a device"
    if plan.peak[0] > plan.capacity:
        found.append(f"{size} and {plan.capacity / 1e9:.2f} GB are free")
    if limit.gigabytes and plan.peak[0] > limit.gigabytes * 1e9:
        found.append(f"{size} and limit.gigabytes is {limit.gigabytes:g}")
    if limit.minutes and plan.minutes > limit.minutes:
        found.append(f"it takes {plan.minutes:.1f} minutes and limit.minutes is {limit.minutes:g}")
    if limit.money and plan.money is None:
        found.append(f"limit.money is {limit.money:g} and there is no price: choose price=cpu or write conf/price")
    if limit.money and plan.money and plan.money > limit.money:
        found.append(f"it costs {plan.money:.2f} {plan.price.currency} and limit.money is {limit.money:g}")
    return found


def check(recipe: Recipe, plan: Plan, limit: Limit) -> None:
    """Raises InputError, with settings that would fit, if the plan exceeds the free memory or a limit."""
    if found := problems(plan, limit):
        repair = repaired(recipe, plan, limit)
        raise InputError(f"not begun: {'; '.join(found)}. {f'It would fit with {repair}' if repair else NOTHING}")


def repaired(recipe: Recipe, plan: Plan, limit: Limit) -> str:
    """Return the settings, each from a plan, with which the run would fit; "" if none does."""
    room, changes, there = (plan.capacity, plan.own), [], most(limit, plan.capacity)
    if limit.money and plan.money is None:
        return ""
    if plan.peak[0] > there:
        smallest = smaller(recipe, room, there)
        if smallest is None:
            return ""
        changes, plan = [smallest[0]], predict(smallest[1], plan.price, room=room)
    seconds = [limit.minutes * 60] if limit.minutes else []
    if limit.money and plan.money:
        seconds.append(limit.money / plan.money * plan.minutes * 60)
    if seconds and plan.minutes * 60 > min(seconds):
        steps = math.floor(plan.steps * (min(seconds) - plan.start) / plan.seconds[0])
        if steps < 1:
            return ""
        changes.append(f"budget.max_steps={steps}")
    return " ".join(changes)


def most(limit: Limit, capacity: int) -> float:
    """Return the bytes that the run may take."""
    return min(capacity, limit.gigabytes * 1e9 if limit.gigabytes else math.inf)


def smaller(recipe: Recipe, room, most: float) -> tuple[str, Recipe] | None:
    """Return (overrides, recipe): tries a smaller micro-batch, then gradient checkpointing, FSDP, LoRA; None if nothing fits."""
    machine, again = recipe.machine, on(recipe, gradient_checkpointing=True)
    for candidate in [recipe] if machine.gradient_checkpointing else [recipe, again]:
        if micro := largest(candidate, room, most):
            return _overrides(machine, candidate.machine, micro), on(candidate, micro_batch=micro)
    least = on(again, micro_batch=1)
    for devices in (n for n in range(machine.world + 1, DEVICES + 1) if recipe.budget.global_batch % n == 0):
        sharded = on(least, devices=devices, num_nodes=1, strategy="fsdp")
        if needed(sharded, room[1])[0] <= most:
            return f"trainer=fsdp trainer.devices={devices} {_overrides(machine, sharded.machine, 1)}", sharded
    lora = build(with_tokens(yaml.safe_load((conf_dir() / "strategy/lora.yaml").read_text()), None))
    if getattr(recipe.strategy, "func", recipe.strategy) is not lora.func:
        light = replace(least, strategy=lora)
        if micro := largest(light, room, most):
            return f"strategy=lora {_overrides(machine, light.machine, micro)}", on(light, micro_batch=micro)
    return None


def _overrides(before, after, micro: int) -> str:
    again = " trainer.gradient_checkpointing=true" if after.gradient_checkpointing and not before.gradient_checkpointing else ""
    return f"trainer.micro_batch={micro}{again}"


def largest(recipe: Recipe, room, most: float) -> int | None:
    """Return the largest micro-batch that divides a device's rows of a step and needs at most `most` bytes, by binary search."""
    share = recipe.budget.global_batch // recipe.machine.world
    choices = [micro for micro in range(1, share + 1) if share % micro == 0]
    low, high = 0, len(choices)  # choices before `low` fit, those from `high` on do not
    while low < high:
        middle = (low + high) // 2
        fits = needed(on(recipe, micro_batch=choices[middle]), room[1])[0] <= most
        low, high = (middle + 1, high) if fits else (low, middle)
    return choices[low - 1] if low else None
