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
    answered: list[dict] | None = None,
    bar: bool = False,
) -> dict[str, float]:
    """Return the merged metrics of the evaluations in `nodes`, {name: config of (model, processor) -> metrics}.

    beside: metrics that the caller adds to the same file. clean: {table: the same without contaminated rows}; an evaluation that
    names such a table runs once more on the clean one, and its metrics end in `/clean`. answered: gets the rows `answered` that evaluations
    keep of their prompts. bar: show progress.
    Raises InputError if two evaluations give the same metric.
    """
    from fmcycle.tracking.progress import track

    evaluations = build(nodes)  # all at once: a wrong one is refused before the first runs
    metrics: dict[str, float] = {}
    items = list(evaluations.items())
    for name, evaluation in track(items, "evaluate") if bar else items:
        found = evaluation(model, processor)
        if answered is not None:
            answered += getattr(evaluation, "answered", [])
        if (node := replaced(nodes[name], clean or {})) != nodes[name]:
            found |= named(build(node)(model, processor))
        if twice := sorted(set(found) & {*metrics, *(beside or {})}):
            raise InputError(f"evaluation.{name} gives {twice[0]}, which another one gives too: remove one of the two from the list")
        metrics |= found
    return metrics
