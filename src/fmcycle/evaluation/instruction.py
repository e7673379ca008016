"""Answers to held-out instructions: ROUGE-L, BLEU and exact match, overall, by task, and against a reference model."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fmcycle.evaluation.figures import mean, rate, row
from fmcycle.evaluation.generate import answers, asking
from fmcycle.evaluation.held_out import held_out, per_group
from fmcycle.model import store as model_store
from fmcycle.ranges import ExistingPath, NonNegativeInt, PositiveInt
from fmcycle.statistics.interval import bootstrap


@dataclass
class Instruction:
    """Greedy answers to held-out instructions, the first `per_task` of each task by digest.

    guardrail, stop: as `answers` takes them. reference: folder of a model with the same processor, given the same prompts behind the
    same guards; its metrics are `reference/...`, and `..._gain` is this model minus that one, by paired bootstrap over answers.
    ROUGE-L is the F-measure of rouge-score (0 to 1), BLEU sacreBLEU's corpus score (0 to 100), exact match is up to white space.
    """

    instructions: ExistingPath
    reference: ExistingPath | None = None
    split: str = "test"
    half: Literal["both", "first", "second"] = "both"
    per_task: PositiveInt = 40
    max_new_tokens: PositiveInt = 64
    batch_size: PositiveInt = 16
    guardrail: dict | None = None
    stop: list[str] = field(default_factory=list)
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    gives = ("rouge_l", "bleu", "exact_match")

    def rows(self) -> list[dict]:
        """What is asked."""
        return per_group(held_out(self.instructions, self.split, half=self.half), "task", self.per_task)

    def __call__(self, model, processor) -> dict[str, float]:
        rows = self.rows()
        expected = [each["messages"][-1]["content"] for each in rows]
        own, options = self._scores(model, processor, rows, expected), {"resamples": self.resamples, "seed": self.seed}
        metrics = figures("", own, **options)
        for task in sorted({each["task"] for each in rows}):
            chosen = [index for index, each in enumerate(rows) if each["task"] == task]
            metrics |= figures(f"{task}/", {name: scores[chosen] for name, scores in own.items()}, **options)
        if self.reference is not None:
            reference = model_store.load_model(self.reference, model.device, model.dtype)[0]
            other = self._scores(reference, processor, rows, expected)
            metrics |= figures("reference/", other, **options)
            for name in ("rouge_l", "exact_match"):
                metrics |= mean(f"{name}_gain", own[name] - other[name], **options)
        return metrics

    def _scores(self, model, processor, rows, expected) -> dict[str, np.ndarray]:
        given = answers(model, processor, [each["messages"][:-1] for each in rows], **asking(self))
        return scores([answer.text for answer in given], expected)


def scores(given: list[str], expected: list[str]) -> dict[str, np.ndarray]:
    """{"rouge_l": [answers], "exact_match": [answers] of 0 or 1, "bleu": [answers, 10] sums that `bleu` adds up}."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    rouge, sentence = RougeScorer(["rougeL"]), BLEU(effective_order=True)
    parts = [sentence.sentence_score(answer, [wanted]) for answer, wanted in zip(given, expected, strict=True)]
    return {
        "rouge_l": np.array([rouge.score(wanted, answer)["rougeL"].fmeasure for answer, wanted in zip(given, expected, strict=True)]),
        "exact_match": np.array([float(answer.split() == wanted.split()) for answer, wanted in zip(given, expected, strict=True)]),
        "bleu": np.array([[*part.counts, *part.totals, part.sys_len, part.ref_len] for part in parts]).reshape(len(parts), 10),
    }


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
        return BLEU.compute_bleu(total[:4].tolist(), total[4:8].tolist(), int(total[8]), int(total[9])).score

    return bootstrap(score, parts, resamples=resamples, seed=seed)


def example() -> dict:
    """Return settings for short answers."""
    return {"settings": {"max_new_tokens": 6}}
