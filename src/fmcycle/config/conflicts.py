"""Conflicts between config values that are each valid alone."""

from collections.abc import Iterator
from typing import Any

from fmcycle.artifact import external
from fmcycle.config import columns, signature

POSITIONS = ("max_position_embeddings", "n_positions", "max_target_positions")  # names of one size, in transformers' configs


def _first(node: dict | None, *names):
    return next((node[name] for name in names if node and node.get(name) is not None), None)


def conflicts(config: dict) -> list[str]:
    """Return one line for each pair of values that exclude one another. config: a resolved stage config, plain data."""
    sizes = _sizes(config)
    rules = (_tokens, _batch, _heads, _unmeasured, columns.problem)
    found = [problem for problem in (_rank(config, sizes), _positions(config, sizes)) if problem]
    return [*found, *(problem for rule in rules if (problem := rule(config))), *_contexts(config, sizes), *_search(config)]


def _sizes(config: dict) -> dict:
    """Return the sizes of the model: those that its node names, else those of its weights, else those of the folder in inputs.model."""
    node = config.get("model") or {}
    given = (config.get("inputs") or {}).get("model")
    return external.sizes(node or {"path": given}) | {key: value for key, value in node.items() if value is not None}


def _rank(config, sizes):
    strategy = config.get("strategy") or {}
    rank = _first(strategy.get("peft_config") if isinstance(strategy, dict) else None, "r")
    width = _first(sizes | (sizes.get("text_config") or {}), "hidden_size", "n_embd", "d_model")
    if rank and width and rank > width:
        return f"strategy.peft_config.r {rank} exceeds the model's width {width}: lower strategy.peft_config.r"
    return None


def _tokens(config):
    strategy = config.get("strategy") or {}
    rows = _first(strategy.get("peft_config") if isinstance(strategy, dict) else None, "trainable_token_indices")
    listed = [index for each in rows.values() for index in each] if isinstance(rows, dict) else rows
    if rows is None or rows == "chat" or (isinstance(listed, list) and all(type(index) is int and index >= 0 for index in listed)):
        return None
    return f"strategy.peft_config.trainable_token_indices: must be chat, a list of token ids or null, not {rows!r}"


def _positions(config, sizes):
    key, positions = _most(sizes)
    for name, length in _lengths(config.get("data"), "data"):
        if isinstance(length, int) and isinstance(positions, int) and length > positions:
            more = f" or raise model.{key}" if _made_anew(config) else ""
            return f"{name} {length} exceeds the model's {positions} positions: lower {name}{more}"
    return None


def _contexts(config, sizes) -> Iterator[str]:
    """Yield the evaluations that show the model more tokens than it has positions, or ask for an answer that fills them all."""
    key, positions = _most(sizes)
    places = [(place, nodes) for place in ("evaluation", "judge", "confirm") if isinstance(nodes := config.get(place), dict)]
    nodes = {f"{place}.{name}": node for place, held in places for name, node in held.items() if isinstance(node, dict)}
    more = f" or raise model.{key}" if _made_anew(config) else ""
    for name, node in (nodes | {"sample": config.get("sample") or {}}).items():
        context, answer = node.get("context"), node.get("max_new_tokens")
        if isinstance(positions, int) and isinstance(context, int) and context > positions:
            yield f"{name}.context {context} exceeds the model's {positions} positions: lower {name}.context{more}"
        if isinstance(positions, int) and isinstance(answer, int) and answer >= positions:
            yield (
                f"{name}.max_new_tokens {answer} leaves no room for a prompt in the model's {positions} positions: "
                f"lower {name}.max_new_tokens{more}"
            )


def _most(sizes: dict) -> tuple[str, int | None]:
    """Return (the key of the model's positions, their number); ("", None) if its sizes are not known."""
    found = {f"text_config.{name}": value for name, value in (sizes.get("text_config") or {}).items()} | sizes
    names = [f"{place}{name}" for place in ("", "text_config.") for name in POSITIONS]
    key = next((name for name in names if found.get(name) is not None), "")
    return key, found.get(key)


def _made_anew(config: dict) -> bool:
    """True if the config names the model's sizes; weights that are there have theirs."""
    return bool(config.get("model")) and "path" not in config["model"]


def _unmeasured(config):
    gate, inputs = config.get("gate"), config.get("inputs") or {}
    if gate and "metrics" in inputs and inputs["metrics"] is None:
        return (
            f"inputs.metrics: is null, and the gate bounds {', '.join(gate)}: measure the model with `fmcycle evaluate model=FOLDER "
            "inputs.instructions=FILE` and give inputs.metrics=RUN/out/metrics.json, or choose gate=none, which bounds nothing"
        )
    return None


def _lengths(node, name: str):
    """Yield (dotted key, value) of every max_length in a data node, the outermost first."""
    if isinstance(node, dict):
        yield from ((f"{name}.max_length", value) for key, value in node.items() if key == "max_length")
        for key, value in node.items():
            yield from _lengths(value, f"{name}.{key}")


def _batch(config):
    batch = _first(config.get("budget"), "global_batch")
    trainer = config.get("trainer") or {}
    micro = _first(trainer, "micro_batch")
    devices = _first(trainer, "devices") or 1
    nodes = _first(trainer, "num_nodes") or 1
    if batch and isinstance(micro, int) and isinstance(devices, int) and batch % (micro * devices * nodes):
        return (
            f"budget.global_batch {batch} is not divisible by trainer.micro_batch {micro} x {devices} devices x {nodes} nodes: "
            "choose trainer.micro_batch so that it is"
        )
    return None


def _heads(config):
    model = config.get("model")
    width, heads = _first(model, "hidden_size", "n_embd", "d_model"), _first(model, "num_attention_heads", "n_head", "num_heads")
    if width and heads and width % heads:
        return f"model: width {width} is not divisible by {heads} attention heads: change one of them"
    return None


def _search(config) -> Iterator[str]:
    """Yield why settings of a search can't be drawn or don't fit a candidate."""
    entrants, candidates = config.get("entrants"), config.get("candidates")
    if "space" not in config or not isinstance(entrants, dict) or not isinstance(candidates, dict):
        return
    if config.get("incumbent") not in entrants:
        yield f"incumbent {config.get('incumbent')} is not among the entrants {', '.join(entrants)}: name one of them"
    yield from _halves(config)
    yield from (f"candidates.{name}.{wrong}" for name, section in candidates.items() if (wrong := columns.problem(section)))
    for path, draw in _draws(config["space"], ()):
        key = f"space.{'.'.join(path)}"
        low, high, values = draw.get("low"), draw.get("high"), draw.get("values")
        if low is not None and high is not None and low >= high:
            yield f"{key}: low {low:g} is not below high {high:g}: lower {key}.low or raise {key}.high"
        if values == []:
            yield f"{key}.values is empty: name what a trial may choose from, or leave {key} out with ~{key}"
        drawn = [value for value in (low, high, *(values or ())) if value is not None]
        for name, candidate in candidates.items():
            yield from (f"{key}: {fault}" for fault in dict.fromkeys(_unfit(candidate, name, path, value) for value in drawn) if fault)


def _halves(config) -> Iterator[str]:
    """Yield the evaluations that would choose and confirm on the same rows."""
    for place, wanted in (("judge", "first"), ("confirm", "second")):
        for name, node in config[place].items():
            known = signature.read(str(node.get("_target_")))
            if known and "half" not in known.parameters:
                yield f"{place}.{name}: has no `half`, so the same rows would choose and confirm: leave it out of evaluation@{place}"
            elif node.get("half") != wanted:
                yield f"{place}.{name}.half: must be {wanted}, not {node.get('half', 'both')}: rows that choose must not confirm"


def _draws(space, path: tuple) -> Iterator[tuple[tuple, dict]]:
    """Yield (path, node) of every setting that a trial draws."""
    if isinstance(space, dict) and "_target_" in space:
        yield path, space
    elif isinstance(space, dict):
        for name, node in space.items():
            yield from _draws(node, (*path, str(name)))


def _unfit(candidate: dict, name: str, path: tuple, value) -> str | None:
    """Return why a candidate can't have `value` at `path`; None if it can."""
    node: Any = candidate
    for part in path[:-1]:
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict) or path[-1] not in node:
        return f"candidates.{name} has no such key; correct it in conf/search"
    known = signature.read(str(node.get("_target_")))
    wrong = signature.fault(value, known.parameters[path[-1]].type) if known and path[-1] in known.parameters else None
    return f"in candidates.{name} it {wrong}" if wrong else None
