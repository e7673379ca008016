"""The evaluation as one self-contained page: verdict, metrics with intervals and comparisons, answers, curves, lineage."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fmcycle.artifact.charts import curve, intervals
from fmcycle.artifact.page import render
from fmcycle.evaluation import change, verdict
from fmcycle.evaluation.safety import KINDS
from fmcycle.evaluation.verdict import Row

TEMPLATE = "report.html"
SHOWN = 20  # contaminated rows on the page
ANSWERS = 400  # answers on the page; samples.jsonl has all
NAMES = {
    "bits_per_byte": "Bits per byte",
    "perplexity": "Perplexity per token",
    "rouge_l": "ROUGE-L",
    "bleu": "BLEU",
    "exact_match": "Exact match",
    "rouge_l_gain": "ROUGE-L gain over the base model",
    "exact_match_gain": "Exact-match gain over the base model",
    "preference_accuracy": "Preference accuracy",
    "preference_accuracy_gain": "Preference-accuracy gain over the model before alignment",
    "reward_accuracy": "Pairs on which alignment moved toward the chosen answer",
    "reward_margin": "Margin of that move, nats",
    "chosen_logp_change": "Log-probability of chosen answers, change by alignment, nats",
    "rejected_logp_change": "Log-probability of rejected answers, change by alignment, nats",
    "answer_tokens": "Tokens of a greedy answer",
    "answer_tokens_change": "Tokens of a greedy answer, change by alignment",
    "cut_rate": "Answers cut at the limit",
    "bits_per_byte_rise": "Bits per byte forgotten since the base model",
    "refusal_rate": "Harmful requests refused",
    "over_refusal_rate": "Harmless requests refused",
    "toxicity_rate": "Toxic continuations",
    "relevance_rate": "Answers relevant at all",
    "kneser_ney_5gram_bits_per_byte": "Kneser-Ney 5-gram, bits per byte",
    "bits_per_byte_under_baseline": "Bits per byte below the Kneser-Ney 5-gram",
    "counted_tokens": "Training tokens that the 5-gram counts",
}
HEADLINES = 6  # cards if the model has no metric of HEADLINE
HEADLINE = ("bits_per_byte", "rouge_l", "exact_match", "preference_accuracy", "refusal_rate", "over_refusal_rate", "toxicity_rate")
CLEAN = "/clean"  # suffix of a metric on rows that no training text contains
STAGES = ("pretrain", "finetune", "align", "select", "compress")


def rows(metrics: dict[str, float]) -> Iterator[Row]:
    """Yield a row for each metric of a flat dict, in its order."""
    keys = dict.fromkeys(key.removesuffix("/low").removesuffix("/high").removesuffix("/n") for key in metrics)
    for key in keys:
        low, high, n = (metrics.get(f"{key}/{end}") for end in ("low", "high", "n"))
        plain, clean = key.removesuffix(CLEAN), ", clean rows" if key.endswith(CLEAN) else ""
        prefix, _, last = plain.rpartition("/")
        name = NAMES.get(last, last.replace("_", " ")) + clean
        yield Row(key, f"{prefix}: {name}" if prefix else name, metrics.get(key), low, high, None if n is None else int(n))


def tasks(metrics: dict[str, float]) -> list[tuple[str, dict[str, Row]]]:
    """Return (task, {metric: row}) of every `<task>/rouge_l`, all answers first."""
    found = {row.key: row for row in rows(metrics)}
    names = [key.removesuffix("/rouge_l") for key in found if key.endswith("/rouge_l") and not key.startswith("reference/")]
    kinds = ("rouge_l", "bleu", "exact_match")
    table = [(name, {kind: found[f"{name}/{kind}"] for kind in kinds if f"{name}/{kind}" in found}) for name in sorted(names)]
    every = {kind: found[kind] for kind in kinds if kind in found}
    base = {kind: found[f"reference/{kind}"] for kind in kinds if f"reference/{kind}" in found}
    return [entry for entry in [("all", every), *table, ("all, by the base model", base)] if entry[1]]


def counted(found: dict[str, Row]) -> str:
    """Return the chart of bits per byte: this model, the reference and the 5-gram, those that were measured on the same documents."""
    wanted = (("this model", ""), (verdict.BASE, "reference/"), ("Kneser-Ney 5-gram", "baseline/kneser_ney_5gram_"))
    rows = [(name, found[f"{before}bits_per_byte"]) for name, before in wanted if f"{before}bits_per_byte" in found]
    return chart(rows, "bits per byte of the same held-out documents, 95 % interval; lower is better")


def chart(rows: list[tuple[str, Row]], label: str) -> str:
    """Return the intervals of figures of the same rows, the first's: a figure of another number of rows is not drawn, nor one alone."""
    drawn = [(name, row.value, row.low, row.high) for name, row in rows if row.low is not None and row.n == rows[0][1].n]
    return intervals(drawn, label=label) if len(drawn) > 1 else ""  # type: ignore[arg-type]


def headline(found: dict[str, Row]) -> list[Row]:
    """Return the rows of the cards: those of HEADLINE, else the model's first metrics with an interval."""
    own = [row for row in found.values() if row.low is not None and "/" not in row.key]
    return [found[key] for key in HEADLINE if key in found] or own[:HEADLINES]


def beside(found: dict[str, Row]) -> list[str]:
    """Return a chart for every metric that has baselines, such as `accuracy` and `baseline/regression_accuracy`; metrics of one kind, such
    as `text_recall@5` and `image_recall@5`, share one."""
    rows = [row for row in found.values() if row.low is not None and (row.key.startswith("baseline/") or "/" not in row.key)]
    own = [row.key for row in rows if "/" not in row.key]
    kinds: dict[str, list[verdict.Row]] = {}
    for row in rows:
        if row.key.startswith("baseline/"):
            whole = max((key for key in own if row.key.endswith(f"_{key}")), key=len, default="")
            kinds.setdefault(whole or row.key.rpartition("_")[2], []).append(row)
    charts = []
    for kind, others in kinds.items():
        alike = [row for row in rows if row.key == kind] or [
            row for row in rows if "/" not in row.key and row.key.rpartition("_")[2] == kind
        ]
        bars = [(row.name, row) for row in alike] + [(verdict.short(row.key, kind), row) for row in others]
        title = NAMES.get(kind, kind.replace("_", " "))
        charts.append(chart(bars, f"{title} on the same held-out rows, 95 % interval"))
    return [each for each in charts if each]


def told(samples: list[dict]) -> list[dict]:
    """Return the answers of the page, grouped by task: each sample with `score`, its first metric, and `change`, that minus the base's."""
    shown = sorted(samples[:ANSWERS], key=lambda row: row["task"])
    found = []
    for row in shown:
        scores, other = row.get("scores") or {}, row.get("reference_scores") or {}
        first = next((name for name in ("rouge_l", *scores) if name in scores), None)
        change = scores[first] - other[first] if first in other else None
        kind = None if change is None else "better" if change > 0 else "worse" if change < 0 else "same"
        found.append(
            {"scores": {}, "reference": None, "reference_scores": {}, "refused": False} | row | {"score": scores.get(first), "change": kind}
        )
    return found


def page(
    metrics: dict,
    stages: dict,
    curves: dict,
    samples: list[dict],
    lineage: dict[str, str],
    contaminated: Sequence[dict] = (),
    gate: dict | None = None,
    when: str = "",
) -> str:
    """Return the page. stages: {stage: metrics}; curves: {stage: its curve.json}; samples: rows of samples.jsonl; lineage: {input: digest};
    contaminated: rows; gate: a gate.json that judged these metrics; when: time and revision, which a stage's own page never has.
    """
    found = {row.key: row for row in rows(metrics)}
    drawn = {stage: drawing(values) for stage, values in curves.items()}
    cards = [(row, verdict.comparisons(found, row.key)) for row in headline(found)]
    counts = counted(found)
    return render(
        Path(__file__).with_name(TEMPLATE),
        number=number,
        name_of=lambda key: NAMES.get(key, key.replace("_", " ")),
        count=count,
        interval=interval,
        direction=verdict.direction,
        difference=verdict.difference,
        said=verdict.sentence([each for _, compared in cards for each in compared], gate, len(found)),
        gate=gate,
        when=when,
        cards=cards,
        beside=beside({key: row for key, row in found.items() if not (counts and key.endswith("bits_per_byte"))}),
        counted=counts,
        tokens=metrics.get("counted_tokens"),
        changed=change.charts(found),
        paired=change.paired(found),
        tasks=tasks(metrics),
        gains=[row for row in found.values() if row.key.endswith("_gain") and row.value is not None and row.key not in change.PAIRED],
        held=[row for row in found.values() if row.key.startswith("contaminated/")],
        clean=[(found[key.removesuffix(CLEAN)], found[key]) for key in found if key.endswith(CLEAN) and key.count("/") == 1],
        contaminated=contaminated[:SHOWN],
        everything=list(found.values()),
        stages=[(stage, list(rows(stages[stage]))) for stage in STAGES if stage in stages],
        curves=[(stage, drawn[stage]) for stage in STAGES if drawn.get(stage)],
        samples=told(samples),
        left_out=max(0, len(samples) - ANSWERS),
        lineage=lineage,
        relevant={rate: found.get(f"{kind}/relevance_rate") for kind, rate in KINDS.items()},
        harms="refusal_rate" in found or "toxicity_rate" in found,
    )


def drawing(values: dict[str, list]) -> str:
    """Return the chart of a curve.json: `loss` over `step`, and `validation_loss` over `validation_step`."""
    series = [
        ("training", values.get("step", []), values.get("loss", [])),
        ("validation", values.get("validation_step", []), values.get("validation_loss", [])),
    ]
    return curve(series, label="loss by optimizer step")


def number(value: float | None) -> str:
    """Format with three decimals, an integer from 10 on with none; None becomes a dash."""
    if value is None:
        return "\u2013"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:,.3f}"


def count(value: float | None) -> str:
    """Format a count without decimals; None becomes a dash."""
    return "\u2013" if value is None else f"{value:,.0f}"


def interval(row: Row) -> str:
    """Format the interval as `[low, high]`; without one a dash."""
    return f"[{number(row.low)}, {number(row.high)}]" if row.low is not None else "\u2013"
