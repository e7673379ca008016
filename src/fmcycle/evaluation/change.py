"""Draws what alignment changed: figures before and after, on the same rows."""

from fmcycle.artifact.charts import intervals
from fmcycle.evaluation.verdict import UNALIGNED, Row

BEFORE_AFTER = (  # title, reading, {key: its name on the chart}
    (
        "preference accuracy on the same pairs",
        "",
        {"unaligned/preference_accuracy": UNALIGNED, "preference_accuracy": "this model"},
    ),
    (
        "change of an answer's log-probability since the model before alignment, nats",
        "below 0 an answer became less likely",
        {"chosen_logp_change": "chosen answers", "rejected_logp_change": "rejected answers"},
    ),
    (
        "tokens of a greedy answer to the same prompts",
        "",
        {"unaligned/answer_tokens": UNALIGNED, "answer_tokens": "this model"},
    ),
)
PAIRED = ("preference_accuracy_gain", "answer_tokens_change", "bits_per_byte_rise")


def charts(found: dict[str, Row]) -> list[str]:
    """Return a chart of each kind of BEFORE_AFTER whose figures all have an interval."""
    drawn = []
    for title, reading, names in BEFORE_AFTER:
        rows = [found.get(key) for key in names]
        bars = [(names[row.key], row.value, row.low, row.high) for row in rows if row is not None and row.low is not None]
        if len(bars) == len(names):
            label = f"{title}, 95 % interval" + (f"; {reading}" if reading else "")
            drawn.append(intervals(bars, label=label))  # type: ignore[arg-type]
    return drawn


def paired(found: dict[str, Row]) -> list[Row]:
    """Return the paired differences; two intervals of the same rows that overlap prove nothing, these can."""
    return [found[key] for key in PAIRED if key in found and found[key].low is not None]
