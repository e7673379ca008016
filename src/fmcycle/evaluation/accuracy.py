"""How often a classifier is right, beside counting: the most frequent class, and logistic regression on the very rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.error import InputError
from fmcycle.evaluation.interval import rate
from fmcycle.number import NonNegativeInt, PositiveInt
from fmcycle.part import tokenizer_of

INPUTS = ("input_ids", "pixel_values", "input_features", "input_values")


@dataclass
class Accuracy:
    """Accuracy on held-out rows, of the model, of its most frequent class and of logistic regression trained on the same train split.

    data: (split, processor) -> rows with `classes`. The regression sees TF-IDF of words and word pairs, or the numbers of pictures and
    sound as they are. `baseline`: rows that it learns from at most; 0: no baseline. `each`: the accuracy of every class by itself.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 2000
    baseline: NonNegativeInt = 20000
    batch_size: PositiveInt = 64
    each: bool = False

    def __call__(self, model, processor) -> dict[str, float]:
        rows = self.data(self.split, processor)
        own = [model.config.id2label[index] for index in sorted(model.config.id2label)]
        if own != rows.classes:
            raise InputError(f"the model names {', '.join(own)}, data.classes {', '.join(rows.classes)}: take the data it was trained on")
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: self.limit])
        held_out = [rows[int(index)] for index in chosen]
        labels = np.array([each["labels"] for each in held_out])
        right = self.predicted(model, rows, held_out) == labels
        metrics = rate("accuracy", right)
        if self.each:
            for number, name in enumerate(rows.classes):
                metrics |= rate(f"{name}/accuracy", right[labels == number])
        if not self.baseline:
            return metrics
        train = self.data("train", processor)
        seen = [train[int(index)] for index in np.random.default_rng(0).permutation(len(train))[: self.baseline]]
        known = np.array([each["labels"] for each in seen])
        metrics |= rate("baseline/most_frequent_accuracy", labels == np.bincount(known).argmax())
        return metrics | rate("baseline/regression_accuracy", regression(seen, known, held_out, processor) == labels)

    @torch.no_grad()
    def predicted(self, model, rows, held_out: list[dict]) -> np.ndarray:
        """The likeliest class of each row: (rows,)."""
        found = []
        for begin in range(0, len(held_out), self.batch_size):
            batch = rows.collate(held_out[begin : begin + self.batch_size])
            given = {name: batch[name].to(model.device) for name in INPUTS if name in batch}
            if "input_ids" in given and model.config.pad_token_id is not None:
                given["attention_mask"] = (given["input_ids"] != model.config.pad_token_id).long()
            found.append(model(**given).logits.argmax(-1).cpu().numpy())
        return np.concatenate(found)


def regression(seen: list[dict], labels: np.ndarray, held_out: list[dict], processor) -> np.ndarray:
    """The classes that logistic regression gives `held_out` after `seen`: (rows,)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if "input_ids" in seen[0]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        tokenizer = tokenizer_of(processor)
        train, test = ([tokenizer.decode(each["input_ids"], skip_special_tokens=True) for each in rows] for rows in (seen, held_out))
        first = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    else:
        name = next(name for name in INPUTS if name in seen[0])
        train, test = (np.stack([each[name].ravel() for each in rows]) for rows in (seen, held_out))  # type: ignore[assignment]
        first = StandardScaler()
    return make_pipeline(first, LogisticRegression(max_iter=1000, C=10.0)).fit(train, labels).predict(test)
