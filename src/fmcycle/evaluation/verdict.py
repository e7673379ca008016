"""What the figures of an evaluation say: which are better, which are worse, and of which no difference can be told."""

from collections.abc import Iterable
from typing import NamedTuple

from fmcycle.statistics.interval import FEWEST

BASE, UNALIGNED = "the base model", "the model before alignment"
LOWER = (
    "bits_per_byte",
    "bits_per_dimension",
    "perplexity",
    "toxicity_rate",
    "over_refusal_rate",
    "bits_per_byte_loss",
    "kl",
    "general_rise",
    "bits_per_byte_rise",
)
HIGHER = (
    *("accuracy", "exact_match", "rouge_l", "bleu", "refusal_rate", "reward_margin", "top1_agreement", "domain_fall", "cosine_gap"),
    *("recall", "over_baseline", "under_baseline", "relevance_rate"),
)
BETTER, WORSE, UNDECIDED, OTHER = "better", "worse", "no difference can be told", "different"


class Row(NamedTuple):
    """One metric: key, display name, value, 95 % interval and count; None for what it lacks."""

    key: str
    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None


class Comparison(NamedTuple):
    """A metric against another model or a baseline.

    delta: this model's value minus the other's; low, high: its 95 % interval if rows are paired, else None; word: what that says.
    """

    row: Row
    against: str
    other: Row
    delta: float
    low: float | None
    high: float | None
    word: str


def direction(key: str) -> str:
    """Return `lower` or `higher` if that is better for this metric; "" if it is not known."""
    last = key.rpartition("/")[2].partition("@")[0]
    for names, word in ((LOWER, "lower"), (HIGHER, "higher")):
        if any(last == name or last.endswith(f"_{name}") for name in names):
            return word
    return ""


def word_of(key: str, low: float, high: float) -> str:
    """Return what an interval of (this model minus the other) says; an interval that holds 0 says that no difference can be told."""
    if low <= 0 <= high:
        return UNDECIDED
    better = direction(key)
    return OTHER if not better else BETTER if (low > 0) == (better == "higher") else WORSE


def comparisons(found: dict[str, Row], key: str) -> list[Comparison]:
    """Return the comparisons of the metric `key` with the reference, the model before alignment and baselines of the same number of rows.

    found: {key: row} of the evaluation. A comparison is paired if the evaluation gives `KEY_gain`, `KEY_loss` or `KEY_rise`, the
    difference on the same rows, from the model before alignment if it gives `unaligned/KEY`, else from the reference; with the strongest
    baseline if it gives `KEY_over_baseline`, or `KEY_under_baseline`, which is the baseline minus this model.
    """
    row = found.get(key)
    if row is None or row.value is None or row.low is None:
        return []
    names = (f"{key}_{end}" for end in ("gain", "loss", "rise"))
    paired = next((found[name] for name in names if name in found and found[name].low is not None), None)
    made = []
    if unaligned := found.get(f"unaligned/{key}"):
        made.append(_compare(row, UNALIGNED, unaligned, paired))
        paired = None
    base = found.get(f"reference/{key}")
    if base and base.value is not None and base.n == row.n:
        made.append(_compare(row, BASE, base, paired))
    others = [other for other in baselines_of(found, key) if other.n == row.n]
    over = found.get(f"{key}_over_baseline") or _turned(found.get(f"{key}_under_baseline"))
    over = over or (paired if not base and len(others) == 1 else None)  # gain over the only baseline
    top = max(others, key=lambda other: _sign(key) * (other.value or 0.0), default=None)
    return made + [_compare(row, short(other.key, key), other, over if other is top else None) for other in others]


def _turned(under: Row | None) -> Row | None:
    """Return a baseline minus this model as this model minus the baseline."""
    if under is None or under.value is None or under.low is None or under.high is None:
        return None
    return under._replace(value=-under.value, low=-under.high, high=-under.low)


def baselines_of(found: dict[str, Row], key: str) -> list[Row]:
    """Return the rows `baseline/NAME_KEY`, else those of the same kind of metric: `baseline/chance_recall@5` for `text_recall@5`."""
    rows = [row for row in found.values() if row.key.startswith("baseline/") and row.value is not None and row.low is not None]
    own = [row for row in rows if row.key.endswith(f"_{key}")]
    kind = key.rpartition("_")[2]
    return own or [row for row in rows if row.key.rpartition("_")[2] == kind]


def short(name: str, key: str) -> str:
    """Return the name of a baseline without its metric: `regression` of `baseline/regression_accuracy`."""
    last = name.removeprefix("baseline/")
    own = last.removesuffix(f"_{key}") if last.endswith(f"_{key}") else last.rpartition("_")[0]
    return {"kneser_ney_5gram": "Kneser-Ney 5-gram"}.get(own, own.replace("_", " "))


def _few(*counts: int | None) -> bool:
    """True if one of the counts of rows is known and too small to tell a difference from chance."""
    return any(count is not None and count < FEWEST for count in counts)


def _compare(row: Row, against: str, other: Row, paired: Row | None) -> Comparison:
    assert row.value is not None and other.value is not None
    if paired is not None and paired.value is not None and paired.low is not None and paired.high is not None:
        word = UNDECIDED if _few(paired.n) else word_of(row.key, paired.low, paired.high)
        return Comparison(row, against, other, paired.value, paired.low, paired.high, word)
    if None in (row.low, row.high, other.low, other.high) or _few(row.n, other.n):
        return Comparison(row, against, other, row.value - other.value, None, None, UNDECIDED)
    word = word_of(row.key, row.low - other.high, row.high - other.low)  # type: ignore[operator]
    return Comparison(row, against, other, row.value - other.value, None, None, word)


def sentence(compared: Iterable[Comparison], gate: dict | None = None, figures: int = 0) -> str:
    """Return the verdict: the gate's outcome if there is one, then what is better, worse and undecided against the base or baselines."""
    parts = [] if gate is None else [outcome(gate)]
    every = list(compared)
    base = [each for each in every if each.against == BASE]
    unaligned = [each for each in every if each.against == UNALIGNED]
    others = strongest(each for each in every if each.against not in (BASE, UNALIGNED) and (not base or each.low is not None))
    parts += [_told(base, BASE)] if base else []
    parts += [_told(unaligned, UNALIGNED)] if unaligned else []
    parts += [_told(others, "the strongest baseline")] if others else []
    if not parts:
        parts.append(f"{figures} figures, and nothing to compare them with: no reference model and no baseline was evaluated.")
    return " ".join(parts)


def strongest(compared: Iterable[Comparison]) -> list[Comparison]:
    """Return of each metric the comparison with its best baseline."""
    best: dict[str, Comparison] = {}
    for each in compared:
        key, sign = each.row.key, _sign(each.row.key)
        if key not in best or sign * (each.other.value or 0.0) > sign * (best[key].other.value or 0.0):
            best[key] = each
    return list(best.values())


def _sign(key: str) -> int:
    return -1 if direction(key) == "lower" else 1


def outcome(gate: dict) -> str:
    """Return the gate's outcome in one sentence."""
    checks = gate["checks"]
    missed = [check["why"] or check["metric"] for check in checks if not check["passed"]]
    if gate["passed"]:
        return f"Passed the gate: all {len(checks)} checks."
    return f"Refused by the gate, {len(missed)} of {len(checks)} checks failed: {'; '.join(missed)}."


def _told(compared: list[Comparison], against: str) -> str:
    kinds = {word: _names(each for each in compared if each.word == word) for word in (BETTER, WORSE, OTHER, UNDECIDED)}
    parts = [f"{word} than {against} in {kinds[word]}" for word in (BETTER, WORSE) if kinds[word]]
    parts += [f"different from {against} in {kinds[OTHER]}"] if kinds[OTHER] else []
    parts += [f"no difference to {against} can be told in {kinds[UNDECIDED]}"] if kinds[UNDECIDED] else []
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _names(compared: Iterable[Comparison]) -> str:
    """`ROUGE-L (+0.132 [0.117, 0.147]) and exact match (...)`."""
    named = [(each, "" if each.against in (BASE, UNALIGNED) else f"{each.against}: ") for each in compared]
    told = [f"{inner(each.row.name)} ({against}{difference(each)})" for each, against in named]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def inner(name: str) -> str:
    """Return the name as it stands inside a sentence: `exact match`, but `ROUGE-L`."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def difference(compared: Comparison) -> str:
    """Return the difference with its interval, or what the two intervals show if rows are not paired."""
    if compared.low is not None and compared.high is not None:
        return f"{signed(compared.delta)} [{signed(compared.low)}, {signed(compared.high)}]"
    return f"{signed(compared.delta)}, intervals {'overlap' if compared.word == UNDECIDED else 'apart'}"


def signed(value: float) -> str:
    """Format a difference with its sign: +0.132, −0.010."""
    text = f"{value:+,.3f}"
    return text.replace("-", "\u2212") if float(text.replace(",", "")) else "0.000"
