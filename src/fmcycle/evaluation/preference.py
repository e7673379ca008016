"""Which of two answers the model prefers, held against what people preferred."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fmcycle.evaluation import control, need
from fmcycle.evaluation.bits_per_byte import check_context, token_losses
from fmcycle.evaluation.figures import mean, rate
from fmcycle.evaluation.held_out import held_out
from fmcycle.model import store as model_store
from fmcycle.processor import components
from fmcycle.processor.chat import render
from fmcycle.ranges import ExistingPath, NonNegativeInt, PositiveInt


@dataclass
class Preference:
    """Accuracy on held-out pairs (chosen, rejected), by the log-likelihood of each answer and its end of turn.

    `preference_accuracy`: the chosen answer is likelier a token (a sum would prefer the shorter). With `reference`, the folder of the
    model that alignment started from, `reference/preference_accuracy` is that model's and `preference_accuracy_gain` the paired
    difference; `reward_accuracy` is how often, and `reward_margin` by how many nats, the model moved toward the chosen answer rather
    than the rejected one: the implicit reward of DPO (Rafailov et al., 2023, section 4) without its beta.
    `baseline/..._preference_accuracy`: prefer the longer answer, or the shorter. `preference_accuracy_over_baseline`: this model minus the
    strongest of these and the reference, paired. After a call `answered` holds the likelier answer to each prompt.
    """

    preferences: ExistingPath
    reference: ExistingPath | None = None
    split: str = "test"
    half: Literal["both", "first", "second"] = "both"
    limit: PositiveInt | None = 300
    batch_size: PositiveInt = 8
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = ("longer", "shorter", "reference")

    gives = ("preference_accuracy", "reward_accuracy", "reward_margin")

    def rows(self) -> list[dict]:
        """The pairs that are judged."""
        return held_out(self.preferences, self.split, self.limit, self.half)

    def check(self, model, processor) -> str:
        """Return what is to be told of the pairs. Raises InputError if the model can't judge them."""
        need.chats(model, processor)
        return need.rows(self.rows(), self.preferences, self.split)

    def __call__(self, model, processor) -> dict[str, float]:
        pairs = self.rows()
        sums, tokens = self._log_likelihoods(model, processor, pairs)
        right = likelier(sums, tokens)
        self.answered = [
            {"id": pair["id"], "task": "preferred", "prompt": pair["prompt"][-1]["content"], "expected": pair["chosen"]}
            | {"answer": pair["chosen" if chosen else "rejected"], "refused": False}
            for pair, chosen in zip(pairs, right, strict=True)
        ]
        others, options = control.pairs(pairs), {"resamples": self.resamples, "seed": self.seed}
        metrics = rate("preference_accuracy", right)
        for name, found in others.items():
            metrics |= mean(f"baseline/{name}_preference_accuracy", found, **options)
        if self.reference is not None:
            reference = model_store.load_model(self.reference, model.device, model.dtype)[0]
            other, counted = self._log_likelihoods(reference, processor, pairs)
            before = others["reference"] = likelier(other, counted)
            metrics |= rate("reference/preference_accuracy", before)
            metrics |= mean("preference_accuracy_gain", right.astype(float) - before, **options)
            margin = (sums - other)[:, 0] - (sums - other)[:, 1]
            metrics |= rate("reward_accuracy", margin > 0)
            metrics |= mean("reward_margin", margin, **options)
        return metrics | control.over_strongest("preference_accuracy", right, others, **options)

    def _log_likelihoods(self, model, processor, pairs) -> tuple[np.ndarray, np.ndarray]:
        """(sum of log-likelihoods, tokens) of [pairs, (chosen, rejected)]."""
        rendered = [answer_ids(processor, pair["prompt"], pair[side]) for pair in pairs for side in ("chosen", "rejected")]
        context = check_context(model, None)
        losses = token_losses(model, [ids for ids, _ in rendered], context=context, stride=context // 2, batch_size=self.batch_size)
        parts = [loss[start - 1 :] for loss, (_, start) in zip(losses, rendered, strict=True)]
        sums, tokens = [-part.sum() for part in parts], [len(part) for part in parts]
        return np.array(sums).reshape(-1, 2), np.array(tokens).reshape(-1, 2)


def likelier(sums: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Is the chosen answer likelier a token than the rejected one? (pairs,) of bool."""
    means = sums / np.maximum(tokens, 1)
    return means[:, 0] > means[:, 1]


def answer_ids(processor, prompt: list[dict], answer: str) -> tuple[list[int], int]:
    """(ids of the prompt, the answer and its end of turn; where the answer begins)."""
    ids = render(processor, [*prompt, {"role": "assistant", "content": answer}])
    start = len(render(processor, prompt, generation_prompt=True))
    stop = components.ends(processor)
    return ids[: next((place + 1 for place in range(start, len(ids)) if ids[place] in stop), len(ids))], start
