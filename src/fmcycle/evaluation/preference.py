"""Which of two answers the model prefers, held against what people preferred."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fmcycle.engine.generate import generate, greedy
from fmcycle.engine.protocol import Request
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

    `preference_accuracy`: the chosen answer is likelier a token (a sum would prefer the shorter); equal ones count a half.
    `baseline/..._preference_accuracy`: prefer the longer answer, the shorter, or the one likelier under `reference`, the base model's
    folder. `preference_accuracy_over_baseline`: this model minus the strongest of them, paired.
    `unaligned`: folder of the model that alignment started from. On the same pairs and prompts `unaligned/...` are its figures and
    `preference_accuracy_gain`, `answer_tokens_change` this model minus that one, paired. `chosen_logp_change` and
    `rejected_logp_change`: nats by which an answer became likelier. `reward_accuracy`: how often the chosen answer's change is the larger,
    `reward_margin`: by how many nats, DPO's implicit reward (Rafailov et al., 2023, section 4) without its beta. `answer_tokens`:
    length of the greedy answers to the first `answers` prompts, `cut_rate`: the share that reached `max_new_tokens`.
    After a call `answered` holds the likelier answer to each prompt.
    """

    preferences: ExistingPath
    reference: ExistingPath | None = None
    unaligned: ExistingPath | None = None
    split: str = "test"
    half: Literal["both", "first", "second"] = "both"
    limit: PositiveInt | None = 300
    batch_size: PositiveInt = 8
    answers: PositiveInt = 60
    max_new_tokens: PositiveInt = 64
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = ("longer", "shorter", "base_model")

    gives = ("preference_accuracy",)

    def rows(self) -> list[dict]:
        """The pairs that are judged."""
        return held_out(self.preferences, self.split, self.limit, self.half)

    def check(self, model, processor) -> str:
        """Return what is to be told of the pairs. Raises InputError if the model can't judge them."""
        need.chats(model, processor)
        return need.rows(self.rows(), self.preferences, self.split)

    def __call__(self, model, processor) -> dict[str, float]:
        pairs = self.rows()
        own = self._log_likelihoods(model, processor, pairs)
        right, others, options = likelier(*own), control.pairs(pairs), {"resamples": self.resamples, "seed": self.seed}
        self.answered = [
            {"id": pair["id"], "task": "preferred", "prompt": pair["prompt"][-1]["content"], "expected": pair["chosen"]}
            | {"answer": pair["chosen" if chosen > 0.5 else "rejected"], "refused": False}
            for pair, chosen in zip(pairs, right, strict=True)
        ]
        metrics, found = rate("preference_accuracy", right), {}
        for folder in dict.fromkeys(filter(None, (self.reference, self.unaligned))):
            other = model_store.load_model(folder, model.device, model.dtype)[0]
            found[folder] = self._log_likelihoods(other, processor, pairs)
            if folder == self.unaligned:
                metrics |= self._lengths(model, other, processor, pairs)
        if self.reference is not None:
            others["base_model"] = likelier(*found[self.reference])
        for name, each in others.items():
            metrics |= mean(f"baseline/{name}_preference_accuracy", each, **options)
        if self.unaligned is not None:
            metrics |= changes(own, found[self.unaligned], **options)
        return metrics | control.over_strongest("preference_accuracy", right, others, **options)

    def _lengths(self, model, unaligned, processor, pairs: list[dict]) -> dict[str, float]:
        """Return the length of both models' greedy answers to the first different prompts, in tokens, and the share that was cut."""
        asked = list(dict.fromkeys(tuple(render(processor, pair["prompt"], generation_prompt=True)) for pair in pairs))[: self.answers]
        requests = [Request(ids, greedy(processor, self.max_new_tokens)) for ids in asked]
        after, before = (
            np.array([len(answer.ids) for answer in generate(one, requests, batch_size=self.batch_size)]) for one in (model, unaligned)
        )
        options = {"resamples": self.resamples, "seed": self.seed}
        metrics: dict[str, float] = {}
        for prefix, tokens in (("", after), ("unaligned/", before)):
            metrics |= mean(f"{prefix}answer_tokens", tokens, **options) | rate(f"{prefix}cut_rate", tokens >= self.max_new_tokens)
        return metrics | mean("answer_tokens_change", after - before, **options)

    def _log_likelihoods(self, model, processor, pairs) -> tuple[np.ndarray, np.ndarray]:
        """(sum of log-likelihoods, tokens) of [pairs, (chosen, rejected)]."""
        rendered = [answer_ids(processor, pair["prompt"], pair[side]) for pair in pairs for side in ("chosen", "rejected")]
        context = check_context(model, None)
        losses = token_losses(model, [ids for ids, _ in rendered], context=context, stride=context // 2, batch_size=self.batch_size)
        parts = [loss[start - 1 :] for loss, (_, start) in zip(losses, rendered, strict=True)]
        sums, tokens = [-part.sum() for part in parts], [len(part) for part in parts]
        return np.array(sums).reshape(-1, 2), np.array(tokens).reshape(-1, 2)


def likelier(sums: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return 1 for each pair whose chosen answer is likelier a token than the rejected one, 0.5 if both are equal, else 0: (pairs,)."""
    means = sums / np.maximum(tokens, 1)
    return (1 + np.sign(means[:, 0] - means[:, 1])) / 2


def changes(own: tuple[np.ndarray, np.ndarray], before: tuple[np.ndarray, np.ndarray], **options) -> dict[str, float]:
    """Return what changed from the unaligned model's (sums, tokens) to this model's, on the same pairs."""
    right, was, moved = likelier(*own), likelier(*before), own[0] - before[0]
    margin = moved[:, 0] - moved[:, 1]
    return (
        rate("unaligned/preference_accuracy", was)
        | mean("preference_accuracy_gain", right - was, **options)
        | mean("chosen_logp_change", moved[:, 0], **options)
        | mean("rejected_logp_change", moved[:, 1], **options)
        | rate("reward_accuracy", (1 + np.sign(margin)) / 2)
        | mean("reward_margin", margin, **options)
    )


def answer_ids(processor, prompt: list[dict], answer: str) -> tuple[list[int], int]:
    """(ids of the prompt, the answer and its end of turn; where the answer begins)."""
    ids = render(processor, [*prompt, {"role": "assistant", "content": answer}])
    start = len(render(processor, prompt, generation_prompt=True))
    stop = components.ends(processor)
    return ids[: next((place + 1 for place in range(start, len(ids)) if ids[place] in stop), len(ids))], start
