"""Checks whether a run fits into the free memory and the limits of the config, and finds settings with which it would."""

import math
from dataclasses import replace

import yaml

from fmcycle.config.build import build, conf_dir
from fmcycle.cost.plan import Plan, longest, needed, predict, room_of
from fmcycle.cost.step_cost import Cost, Limit, Price
from fmcycle.errors import InputError
from fmcycle.model.adapter import with_tokens
from fmcycle.training.recipe import Recipe

RESERVE = 0.92  # of the free memory, for micro_batch=fit: other processes may take some meanwhile
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
        raise InputError(f"does not fit, not begun: {'; '.join(found)}. {repaired(recipe, plan, limit)}")


def repaired(recipe: Recipe, plan: Plan, limit: Limit) -> str:
    """Return a sentence with the settings, each from a plan, with which the run would fit, or with what the least of them needs."""
    nothing = "No setting that was tried fits: choose a smaller model, or another machine"
    room, changes, there = (plan.capacity, plan.own), [], most(limit, plan.capacity)
    if limit.money and plan.money is None:
        return nothing
    if plan.peak[0] > there:
        text, smallest, peak = smaller(recipe, room, there, plan.cost)
        if peak > there:
            size = (there - plan.own) / (peak - plan.own) * plan.cost.parameters / 1e6
            return (
                f"No setting that was tried fits: the least, {text}, needs at least {peak / 1e9:.2f} GB a device. Choose such a machine"
                + (f", or a model of at most {size:,.0f} million weights" if size >= 1 else "")
            )
        changes, plan = [text], predict(smallest, plan.price, room=room)
    seconds = [limit.minutes * 60] if limit.minutes else []
    if limit.money and plan.money:
        seconds.append(limit.money / plan.money * plan.minutes * 60)
    if seconds and plan.minutes * 60 > min(seconds):
        steps = math.floor(plan.steps * (min(seconds) - plan.start) / plan.seconds[0])
        if steps < 1:
            return nothing
        changes.append(f"budget.max_steps={steps}")
    return f"It would fit with {' '.join(changes)}"


def most(limit: Limit, capacity: int) -> float:
    """Return the bytes that the run may take."""
    return min(capacity, limit.gigabytes * 1e9 if limit.gigabytes else math.inf)


def smaller(recipe: Recipe, room, most: float, step: Cost) -> tuple[str, Recipe, float]:
    """Return (overrides, recipe, bytes that it needs) of the first that fits of a smaller micro-batch, then gradient checkpointing, FSDP,
    LoRA; of the least of them if nothing fits. step: the cost of a step of `recipe`.

    A setting whose weights, gradients and optimizer alone are too much is not tried: a step of a large model is imagined in seconds.
    """
    machine, own = recipe.machine, room[1]
    again, bare, tried = on(recipe, gradient_checkpointing=True), replace(step, activations=0, small=0), []
    if needed(recipe, own, bare)[0] <= most:
        for candidate in [recipe] if machine.gradient_checkpointing else [recipe, again]:
            if micro := largest(candidate, room, most):
                fitting = on(candidate, micro_batch=micro)
                return _overrides(machine, candidate.machine, micro), fitting, needed(fitting, own)[0]
    least = on(again, micro_batch=1)
    counts = [n for n in range(machine.world + 1, DEVICES + 1) if recipe.budget.global_batch % n == 0]
    sharded = [on(least, devices=devices, num_nodes=1, strategy="fsdp") for devices in counts]
    if possible := [each for each in sharded if needed(each, own, bare)[0] <= most]:
        step_of_one = longest(possible[0])
        tried += [
            (f"trainer=fsdp trainer.devices={each.machine.devices} {_overrides(machine, each.machine, 1)}", each, step_of_one)
            for each in possible
        ]
    if found := _first(tried, own, most):
        return found
    lora = build(with_tokens(yaml.safe_load((conf_dir() / "strategy/lora.yaml").read_text()), None))
    light = least if getattr(recipe.strategy, "func", recipe.strategy) is lora.func else replace(least, strategy=lora)
    text = _overrides(machine, light.machine, 1)
    frozen = replace(bare, trained=0, gradients=0, optimizer=0)  # less than an adapter needs
    cost = longest(light) if needed(light, own, frozen)[0] <= most else frozen
    if light is not least and needed(light, own, cost)[0] <= most and (micro := largest(light, room, most)):
        light, text = on(light, micro_batch=micro), _overrides(machine, light.machine, micro)
        cost = longest(light)
    tried.append((text if light.strategy is recipe.strategy else f"strategy=lora {text}", light, cost))
    return _first(tried, own, most) or min(((text, each, needed(each, own, cost)[0]) for text, each, cost in tried), key=lambda one: one[2])


def _first(tried: list[tuple[str, Recipe, Cost]], own: float, most: float) -> tuple[str, Recipe, float] | None:
    """Return (overrides, recipe, bytes) of the first that needs at most `most`; None if none does."""
    sizes = ((text, each, needed(each, own, cost)[0]) for text, each, cost in tried)
    return next((found for found in sizes if found[2] <= most), None)


def _overrides(before, after, micro: int) -> str:
    again = " trainer.gradient_checkpointing=true" if after.gradient_checkpointing and not before.gradient_checkpointing else ""
    return f"trainer.micro_batch={micro}{again}"


def largest(recipe: Recipe, room, most: float) -> int | None:
    """Return the largest micro-batch that divides a device's rows of a step and needs at most `most` bytes, by binary search."""
    share = recipe.budget.global_batch // recipe.machine.world
    choices = [micro for micro in range(1, share + 1) if share % micro == 0]

    def fits(place: int) -> bool:
        return needed(on(recipe, micro_batch=choices[place]), room[1])[0] <= most

    low, high = int(fits(0)), len(choices)  # choices before `low` fit, those from `high` on do not
    while 0 < low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(middle) else (low, middle)
    return choices[low - 1] if low else None
