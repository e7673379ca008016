"""Values that are each right and can't be together."""


def _first(node: dict | None, *names):
    return next((node[name] for name in names if node and node.get(name) is not None), None)


def conflicts(config: dict) -> list[str]:
    """One line for each pair of values that exclude one another. config: a resolved stage config, plain data."""
    return [problem for rule in (_rank, _positions, _batch, _heads) if (problem := rule(config))]


def _rank(config):
    strategy = config.get("strategy") or {}
    rank = _first(strategy.get("peft_config") if isinstance(strategy, dict) else None, "r")
    width = _first(config.get("model"), "hidden_size", "n_embd", "d_model")
    if rank and width and rank > width:
        return f"strategy.peft_config.r {rank} exceeds the model's width {width}: lower strategy.peft_config.r"
    return None


def _positions(config):
    positions = _first(config.get("model"), "max_position_embeddings", "n_positions")
    for name, length in _lengths(config.get("data"), "data"):
        if positions and isinstance(length, int) and length > positions:
            key = "max_position_embeddings" if "max_position_embeddings" in config["model"] else "n_positions"
            return f"{name} {length} exceeds the model's {positions} positions: lower {name} or raise model.{key}"
    return None


def _lengths(node, name: str):
    """(dotted key, value) of every max_length in a data node, the outermost first."""
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
