"""Answers to held-out instructions: ROUGE-L, BLEU and exact match, overall, by task, and over a reference model and baselines."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fmcycle.evaluation import control, need
from fmcycle.evaluation.figures import mean, rate, row
from fmcycle.evaluation.generate import answers, asking
from fmcycle.evaluation.held_out import held_out, per_group
from fmcycle.evaluation.script import Words, spaced
from fmcycle.model import store as model_store
from fmcycle.processor.chat import answer_text
from fmcycle.ranges import ExistingPath, NonNegativeInt, PositiveInt
from fmcycle.serving.pipeline import Draft
from fmcycle.statistics.interval import bootstrap


@dataclass
class Instruction:
    """Greedy answers to held-out instructions, the first `per_task` of each task by digest.

    guardrail, stop: as `answers` takes them. reference: folder of a model with the same processor, given the same prompts behind the
    same guards; its metrics are `reference/...`, and `..._gain` is this model minus that one, by paired bootstrap over answers.
    After a call `answered` holds a row for each prompt, as `compared` returns them.
    `baseline/<name>_...`: the answers of `fmcycle.evaluation.control`, made without a model from at most `learned` training rows;
    `..._over_baseline`: this model minus the strongest of them, paired, overall and by task.
    ROUGE-L is the F-measure of rouge-score (0 to 1) over `Words`, BLEU sacreBLEU's corpus score (0 to 100) with its tokenizer 13a over
    `spaced` texts, exact match is up to white space.
    """

    instructions: ExistingPath
    reference: ExistingPath | None = None
    split: str = "test"
    half: Literal["both", "first", "second"] = "both"
    per_task: PositiveInt = 40
    max_new_tokens: PositiveInt = 64
    batch_size: PositiveInt = 16
    learned: PositiveInt = 20000
    guardrail: dict | None = None
    stop: list[str] = field(default_factory=list)
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = ("constant", "nearest", "copy", "chance")

    gives = ("rouge_l", "bleu", "exact_match")

    def rows(self) -> list[dict]:
        """What is asked."""
        return per_group(held_out(self.instructions, self.split, half=self.half), "task", self.per_task)

    def check(self, model, processor) -> str:
        """Return what is to be told of the rows. Raises InputError if the model can't be asked."""
        need.chats(model, processor)
        found = self.rows()
        asked = [each["messages"][:-1] for each in found]
        return need.rows(found, self.instructions, self.split) or need.room(model, processor, asked)

    def __call__(self, model, processor) -> dict[str, float]:
        rows = self.rows()
        expected = [answer_text(processor, each["messages"]) for each in rows]
        given = self._answers(model, processor, rows)
        own, options = scores([answer.text for answer in given], expected), {"resamples": self.resamples, "seed": self.seed}
        said, other = None, None
        others = self._controls(processor, rows, expected)
        metrics = figures("", own, **options) | over_baseline("", own, others, **options)
        for name, found in others.items():
            metrics |= mean(f"baseline/{name}_rouge_l", found["rouge_l"], **options)
            metrics |= rate(f"baseline/{name}_exact_match", found["exact_match"])
        for task in sorted({each["task"] for each in rows}):
            chosen = [index for index, each in enumerate(rows) if each["task"] == task]
            part, beside = picked(own, chosen), {name: picked(found, chosen) for name, found in others.items()}
            metrics |= figures(f"{task}/", part, **options) | over_baseline(f"{task}/", part, beside, **options)
        if self.reference is not None:
            reference = model_store.load_model(self.reference, model.device, model.dtype)[0]
            said = [answer.text for answer in self._answers(reference, processor, rows)]
            other = scores(said, expected)
            metrics |= figures("reference/", other, **options)
            for name in ("rouge_l", "exact_match"):
                metrics |= mean(f"{name}_gain", own[name] - other[name], **options)
        asked = [
            {"id": each["id"], "task": each["task"], "prompt": each["messages"][-2]["content"], "expected": wanted}
            | {"answer": answer.text, "refused": bool(answer.refusals)}
            for each, answer, wanted in zip(rows, given, expected, strict=True)
        ]
        self.answered = compared(asked, own, said, other)
        return metrics

    def _controls(self, processor, rows: list[dict], expected: list[str]) -> dict[str, dict[str, np.ndarray]]:
        """Return {baseline: its ROUGE-L and exact match of each row}; {} without rows."""
        train = [spoken(processor, row) for row in held_out(self.instructions, "train", self.learned)] if rows else []
        given = control.answers(train, rows, rouge_l) if rows else {}
        return {name: {"rouge_l": rouge_l(texts, expected), "exact_match": exact(texts, expected)} for name, texts in given.items()}

    def _answers(self, model, processor, rows) -> list[Draft]:
        return answers(model, processor, [each["messages"][:-1] for each in rows], **asking(self))


def spoken(processor, row: dict) -> dict:
    """Return a row whose last message is what a model should write: tool calls in the template's form."""
    *before, last = row["messages"]
    return row | {"messages": [*before, last | {"content": answer_text(processor, row["messages"])}]}


def asked(prompts: list[str], expected: list[str], said: list[str]) -> list[dict]:
    """Return rows {"id", "task", "prompt", "expected", "answer"} of data without ids and tasks: the id is the place in the split."""
    texts = zip(prompts, expected, said, strict=True)
    return [
        {"id": f"row {place}", "task": "", "prompt": one, "expected": two, "answer": three} for place, (one, two, three) in enumerate(texts)
    ]


def compared(
    rows: list[dict], own: dict[str, np.ndarray], said: list[str] | None = None, other: dict[str, np.ndarray] | None = None
) -> list[dict]:
    """Return each row with its `scores`, {metric: value}; with `reference`, the other model's answer, and `reference_scores` if given."""
    found = [row | {"scores": _of_one(own, place)} for place, row in enumerate(rows)]
    if said is None or other is None:
        return found
    return [
        row | {"reference": text, "reference_scores": _of_one(other, place)}
        for place, (row, text) in enumerate(zip(found, said, strict=True))
    ]


def _of_one(found: dict[str, np.ndarray], place: int) -> dict[str, float]:
    """The scores of one answer; BLEU's ten sums are no score of one."""
    return {name: round(float(values[place]), 4) for name, values in found.items() if values.ndim == 1}


def scores(given: list[str], expected: list[str]) -> dict[str, np.ndarray]:
    """{"rouge_l": [answers], "exact_match": [answers] of 0 or 1, "bleu": [answers, 10] sums that `bleu` adds up}."""
    from sacrebleu.metrics import BLEU

    sentence = BLEU(effective_order=True)
    parts = [sentence.sentence_score(answer, [wanted]) for answer, wanted in zip(spaced(given), spaced(expected), strict=True)]
    sums = np.array([[*part.counts, *part.totals, part.sys_len, part.ref_len] for part in parts]).reshape(len(parts), 10)
    return {"rouge_l": rouge_l(given, expected), "exact_match": exact(given, expected), "bleu": sums}


def rouge_l(given: list[str], expected: list[str]) -> np.ndarray:
    """Return the ROUGE-L F-measure of each answer: (answers,)."""
    from rouge_score.rouge_scorer import RougeScorer

    rouge = RougeScorer(["rougeL"], tokenizer=Words())
    return np.array([rouge.score(wanted, answer)["rougeL"].fmeasure for answer, wanted in zip(given, expected, strict=True)])


def exact(given: list[str], expected: list[str]) -> np.ndarray:
    """Return 1 for each answer that equals the expected one up to white space, else 0: (answers,)."""
    return np.array([float(answer.split() == wanted.split()) for answer, wanted in zip(given, expected, strict=True)])


def picked(found: dict[str, np.ndarray], rows: list[int]) -> dict[str, np.ndarray]:
    """Return the scores of some rows."""
    return {name: scores[rows] for name, scores in found.items()}


def over_baseline(prefix: str, own: dict, others: dict[str, dict], **options) -> dict[str, float]:
    """Return ROUGE-L and exact match minus those of the strongest baseline, paired."""
    metrics: dict[str, float] = {}
    for name in ("rouge_l", "exact_match"):
        metrics |= control.over_strongest(f"{prefix}{name}", own[name], {each: found[name] for each, found in others.items()}, **options)
    return metrics


def figures(prefix: str, found: dict[str, np.ndarray], *, resamples: int, seed: int) -> dict[str, float]:
    """ROUGE-L, BLEU and exact match of what `scores` returns, each name after `prefix`."""
    return (
        mean(f"{prefix}rouge_l", found["rouge_l"], resamples=resamples, seed=seed)
        | row(f"{prefix}bleu", *bleu(found["bleu"], resamples=resamples, seed=seed), len(found["bleu"]))
        | rate(f"{prefix}exact_match", found["exact_match"])
    )


def bleu(parts: np.ndarray, *, resamples: int, seed: int) -> tuple[float, float, float]:
    """(corpus BLEU, low, high), bootstrap over answers. parts: [answers, 10], 4 matches, 4 totals, the answer's and the expected length."""
    from sacrebleu.metrics import BLEU

    def score(drawn: np.ndarray) -> float:
        total = drawn.sum(0)
        return BLEU.compute_bleu(total[:4].tolist(), total[4:8].tolist(), int(total[8]), int(total[9]), effective_order=True).score

    return bootstrap(score, parts, resamples=resamples, seed=seed)


def example() -> dict:
    """Return settings for short answers."""
    return {"settings": {"max_new_tokens": 6}}
