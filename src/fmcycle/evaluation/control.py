"""Answers and choices that need no model: the figures that a trained model has to exceed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from fmcycle.evaluation.figures import mean

CANDIDATES = 24  # answers of a task that are tried as its constant answer
JUDGES = 100  # training rows of a task that such an answer is scored on
OFFERED = 0.5  # share of a task's training rows whose answer stands in its prompt, from which on the prompts offer options
LONGEST = 80  # characters of an option

Score = Callable[[list[str], list[str]], np.ndarray]


def answers(train: Sequence[dict], asked: Sequence[dict], score: Score) -> dict[str, list[str]]:
    """Return {baseline: its answer to each row of `asked`}, made from the training rows alone.

    `constant`: the training answer that scores best on its task's other training rows. `nearest`: the answer to the most similar training
    prompt (TF-IDF of words and word pairs). `copy`: the prompt. `chance`, if the prompts of a task offer options: a random one of them.
    train, asked: rows with `messages` and `task`, the answer last. score: (answers, expected) -> scores (n,). Without training rows only
    `copy` is left.
    """
    prompts = [last_question(row) for row in asked]
    found = {"copy": prompts}
    if not train:
        return found
    by_task = defaultdict(list)
    for row in train:
        by_task[row["task"]].append(row)
    fixed = {task: constant([answer(row) for row in rows], score) for task, rows in by_task.items()}
    every = constant([answer(row) for row in train], score)
    found["constant"] = [fixed.get(row["task"], every) for row in asked]
    found["nearest"] = nearest(train, prompts)
    offered = {task: options for task, rows in by_task.items() if (options := offers(rows))}
    if any(row["task"] in offered for row in asked):
        random = np.random.default_rng(0)
        chosen = []
        for row, prompt, other in zip(asked, prompts, found["constant"], strict=True):
            here = [option for option in offered.get(row["task"], ()) if option in prompt]
            chosen.append(here[random.integers(len(here))] if here else other)
        found["chance"] = chosen
    return found


def constant(given: list[str], score: Score) -> str:
    """Return the answer that scores best against the others, among the most frequent ones."""
    counts = Counter(given)
    candidates = [text for text, _ in counts.most_common(CANDIDATES)]
    judged = given[:: max(1, len(given) // JUDGES)][:JUDGES]
    return max(candidates, key=lambda text: float(score([text] * len(judged), judged).mean()))


def nearest(train: Sequence[dict], prompts: Sequence[str]) -> list[str]:
    """Return the answer to the training prompt that is most similar to each prompt."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    known = [last_question(row) for row in train]
    counted = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]").fit(known)
    closest = np.asarray((counted.transform(prompts) @ counted.transform(known).T).argmax(axis=1)).ravel()
    return [answer(train[int(place)]) for place in closest]


def offers(rows: Sequence[dict]) -> list[str]:
    """Return the answers of a task whose prompts offer them as options; [] if they don't."""
    held = sum(answer(row) in last_question(row) for row in rows)
    options = {answer(row) for row in rows if 0 < len(answer(row)) <= LONGEST}
    return sorted(options) if held >= OFFERED * len(rows) and len(options) < len(rows) else []


def pairs(rows: Sequence[dict]) -> dict[str, np.ndarray]:
    """Return {baseline: which pairs it gets right (n,)}: prefer the longer answer, or the shorter; equal lengths count a half."""
    lengths = np.array([[len(row["chosen"]), len(row["rejected"])] for row in rows], dtype=float).reshape(-1, 2)
    longer = (lengths[:, 0] > lengths[:, 1]) + 0.5 * (lengths[:, 0] == lengths[:, 1])
    return {"longer": longer, "shorter": 1 - longer}


def shuffled(frame: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Return instructions whose training rows have another row's answer, of the same task; no row keeps its own if the task allows that.

    frame: a table with `messages`, `task` and `split`. Answers, tasks and lengths stay the same as a whole, so form can still be learned.
    """
    rows, random = frame.to_dicts(), np.random.default_rng(seed)
    places = defaultdict(list)
    for place, row in enumerate(rows):
        if row["split"] == "train":
            places[row["task"]].append(place)
    for each in places.values():
        # equal answers stand together, so half a turn separates them
        order = sorted(random.permutation(each).tolist(), key=lambda place: answer(rows[place]))
        texts = [rows[place]["messages"][-1] for place in order]
        for place, message in zip(order, texts[len(texts) // 2 :] + texts[: len(texts) // 2], strict=True):
            rows[place] = rows[place] | {"messages": [*rows[place]["messages"][:-1], message]}
    return pl.from_dicts(rows, schema=frame.schema)


def exchanged(frame: pl.DataFrame) -> pl.DataFrame:
    """Return preferences whose training rows have the chosen and the rejected answer exchanged."""
    train = pl.col("split") == "train"
    chosen, rejected = pl.col("chosen"), pl.col("rejected")
    return frame.with_columns(
        pl.when(train).then(rejected).otherwise(chosen).alias("chosen"), pl.when(train).then(chosen).otherwise(rejected).alias("rejected")
    )


def chance(same: np.ndarray, k: int) -> np.ndarray:
    """Return the probability that one of a row's partners is among `k` random ones: (rows,). same: (rows, candidates) bool."""
    candidates, partners = same.shape[1], same.sum(axis=1)
    missed = np.ones(len(same))
    for drawn in range(min(k, candidates)):
        missed *= np.maximum(candidates - partners - drawn, 0) / (candidates - drawn)
    return 1 - missed


def over_strongest(name: str, own: np.ndarray, others: dict[str, np.ndarray], **options) -> dict[str, float]:
    """Return `<name>_over_baseline`: the mean of own minus the strongest baseline's, paired over rows, with its interval.

    own: (n,) scores; others: {baseline: (n,)}. The strongest is chosen on the same rows, which favours the baseline.
    """
    if not others or not len(own):
        return {}
    strongest = max(others, key=lambda each: float(others[each].mean()))
    return mean(f"{name}_over_baseline", np.subtract(own, others[strongest], dtype=float), **options)


def last_question(row: dict) -> str:
    """Return the text of the last message before the answer."""
    messages = row["messages"][:-1]
    return (messages[-1]["content"] or "") if messages else ""


def answer(row: dict) -> str:
    """Return the expected answer of a row."""
    return row["messages"][-1]["content"] or ""
