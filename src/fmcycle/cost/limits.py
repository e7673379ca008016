"""Does a run fit into the memory that is there and the limits that were stated; and if not, with which settings would it?"""

import math
from dataclasses import replace

import yaml

from fmcycle.config.build import build, conf_dir
from fmcycle.cost.plan import Plan, needed, predict, room_of
from fmcycle.cost.step_cost import Limit, Price
from fmcycle.errors import InputError
from fmcycle.model.adapter import with_tokens
from fmcycle.training.recipe import Recipe

RESERVE = 0.92  # of the memory that is there, for micro_batch=fit: others may take some meanwhile
NOTHING = "Nothing that was tried would fit: choose a smaller model, or another machine"
DEVICES = 64  # how many a repair by sharding may ask for


def settled(recipe: Recipe, limit: Limit, price: Price, room: tuple[int, float] | None = None) -> tuple[Recipe, Plan]:
    """(the recipe with its micro-batch chosen, the plan of it). room: as for `predict`."""
    if recipe.machine.micro_batch == "fit":
        room = room or room_of(recipe.machine)
        micro = largest(recipe, room, RESERVE * most(limit, room[0]))
        recipe = on(recipe, micro_batch=micro or 1)
    return recipe, predict(recipe, price, room=room)


def on(recipe: Recipe, **changed) -> Recipe:
    """`recipe` on a machine of which some settings are `changed`."""
    return replace(recipe, machine=replace(recipe.machine, **changed))


def problems(plan: Plan, limit: Limit) -> list[str]:
    """What the run would exceed."""
    found, size = [], f"it needs {plan.peak[0] / 1e9:.2f} GB a device"
    if plan.peak[0] > plan.capacity:
        found.append(f"{size} and {plan.capacity / 1e9:.2f} GB are there")
    if limit.gigabytes and plan.peak[0] > limit.gigabytes * 1e9:
        found.append(f"{size} and limit.gigabytes is {limit.gigabytes:g}")
    if limit.minutes and plan.minutes > limit.minutes:
        found.append(f"it takes {plan.minutes:.1f} minutes and limit.minutes is {limit.minutes:g}")
    if limit.money and plan.money is None:
        found.append(f"limit.money is {limit.money:g} and nothing is priced: choose price=cpu or write conf/price")
    if limit.money and plan.money and plan.money > limit.money:
        found.append(f"it costs {plan.money:.2f} {plan.price.currency} and limit.money is {limit.money:g}")
    return found


def check(recipe: Recipe, plan: Plan, limit: Limit) -> None:
    """Raises InputError where the plan exceeds what is there or was stated, with the settings that would fit."""
    if found := problems(plan, limit):
        repair = repaired(recipe, plan, limit)
        raise InputError(f"not begun: {'; '.join(found)}. {f'It would fit with {repair}' if repair else NOTHING}")


def repaired(recipe: Recipe, plan: Plan, limit: Limit) -> str:
    """The settings, each computed, with which the run would fit; empty where none does."""
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
    """Bytes that the run may take."""
    return min(capacity, limit.gigabytes * 1e9 if limit.gigabytes else math.inf)


def smaller(recipe: Recipe, room, most: float) -> tuple[str, Recipe] | None:
    """(overrides, recipe): tries a smaller micro-batch, then gradient checkpointing, sharding, LoRA; None if nothing fits."""
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
    """The largest micro-batch that divides a device's rows of a step and needs at most `most` bytes, by halving the choices."""
    share = recipe.budget.global_batch // recipe.machine.world
    choices = [micro for micro in range(1, share + 1) if share % micro == 0]
    low, high = 0, len(choices)  # choices before `low` fit, those from `high` on do not
    while low < high:
        middle = (low + high) // 2
        fits = needed(on(recipe, micro_batch=choices[middle]), room[1])[0] <= most
        low, high = (middle + 1, high) if fits else (low, middle)
    return choices[low - 1] if low else None
