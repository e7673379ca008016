"""Checks before training that every row of the mix has a licence that the policy allows."""

from pathlib import Path

import polars as pl

from fmcycle.artifact import external
from fmcycle.errors import InputError
from fmcycle.licence.policy import UNKNOWN, Policy, family

TABLES = ("documents", "instructions", "preferences", "prompts", "examples")
SHOWN = 8  # sources that the message names


def permit(policy: Policy | None, model: dict, data: dict, inputs: dict) -> None:
    """Raises InputError with the sources and rows of the mix whose licence `policy` does not allow; rows without one are "unknown".

    model, data: config nodes; `data` names the tables that it reads; inputs: {name: path}. Without a policy everything is allowed.
    """
    if not policy:
        return
    wrong, own = [], external.licence_of(model)
    if own and not policy.permits(own):
        wrong.append(f"model: its weights are under {own} ({family(own)})")
    for file, where in mixed(data, inputs):
        for source, licence, rows in counted(file, where):
            if not policy.permits(licence):
                wrong.append(f"{file}: {rows:,} rows of source {source} under {licence} ({family(licence)})")
    if wrong:
        more = [f"and {len(wrong) - SHOWN} sources more"] if len(wrong) > SHOWN else []
        raise InputError(
            "\n".join([f"licence.allow is {', '.join(policy.allow)}; it does not allow:", *wrong[:SHOWN], *more])
            + "\nleave them out with data.where.source=[...] or a curation step fmcycle.curation.licence.policy, or add their "
            "licence to licence.allow"
        )


def mixed(data: dict, inputs: dict) -> list[tuple[str, dict]]:
    """Return (table, where) of everything that `data` reads rows of; if it names no table, the tables among `inputs`."""
    found = dict.fromkeys((file, tuple((name, tuple(values)) for name, values in where.items())) for file, where in nodes(data))
    files = list(found) or [(inputs[name], ()) for name in TABLES if inputs.get(name)]
    return [(str(file), {name: list(values) for name, values in where}) for file, where in files]


def nodes(node) -> list[tuple[str, dict]]:
    """Return (file, where) of every data node with a table, including parts of mixtures."""
    if isinstance(node, list):
        return [found for item in node for found in nodes(item)]
    if not isinstance(node, dict):
        return []
    file = node.get("documents") or node.get("path")
    own = [(file, node.get("where") or {})] if isinstance(file, str) and file.endswith(".parquet") and Path(file).is_file() else []
    return own + [found for value in node.values() for found in nodes(value)]


def counted(file: str, where: dict) -> list[tuple[str, str, int]]:
    """Return (source, licence, rows) of the rows for training and validation."""
    frame = pl.scan_parquet(file)
    names = frame.collect_schema().names()
    for name, values in where.items():
        frame = frame.filter(pl.col(name).is_in(values)) if name in names else frame
    frame = frame.filter(pl.col("split").is_in(["train", "validation"])) if "split" in names else frame
    columns = [
        (pl.col(name) if name in names else pl.lit(None, pl.String)).fill_null(UNKNOWN).alias(name) for name in ("source", "licence")
    ]
    return frame.select(columns).group_by("source", "licence").len().sort("source", "licence").collect().rows()
