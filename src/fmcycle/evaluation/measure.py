"""Runs the evaluations of a config and merges their figures."""

from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.evaluation.decontaminate import named, replaced


def measure(
    nodes: dict[str, dict],
    model,
    processor,
    *,
    beside: dict[str, float] | None = None,
    clean: dict[str, str] | None = None,
    bar: bool = False,
) -> dict[str, float]:
    """The figures of every evaluation of `nodes`, {name: (model, processor) -> metrics as config data}, for a model.

    beside: figures that stand in the same file. clean: {table: the same without the rows that a training text holds}; an evaluation that
    names such a table runs once more on the clean one, its figures are `.../clean`. bar: show how many are done.
    Raises InputError for a figure that is there twice: neither would be known to be the one that is read.
    """
    from rich.progress import track

    evaluations = build(nodes)  # all of them, so that a wrong one is refused before the first is run
    metrics: dict[str, float] = {}
    for name, evaluation in track(evaluations.items(), description="evaluate", disable=not bar):
        found = evaluation(model, processor)
        if (node := replaced(nodes[name], clean or {})) != nodes[name]:
            found |= named(build(node)(model, processor))
        if twice := sorted(set(found) & {*metrics, *(beside or {})}):
            raise InputError(f"evaluation.{name} gives {twice[0]}, which is there already: take one of the two out of the list")
        metrics |= found
    return metrics
