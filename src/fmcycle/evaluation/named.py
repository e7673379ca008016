"""What a model says of held-out pictures or sounds, word for word, beside the answer that is most frequent in training."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation.figures import rate
from fmcycle.model.inputs import placed
from fmcycle.processor.components import ends, tokenizer_of
from fmcycle.ranges import PositiveInt

SEEN = ("pixel_values", "input_features")


@dataclass
class Named:
    """Greedy answers to held-out rows: how many are the expected one, `exact_match`.

    data: (split, processor) -> rows with `decoder_labels` (of a sound), or with `input_ids` and `labels` (a picture and a conversation,
    which is cut where its first answer begins). `baseline/most_frequent_exact_match`: of the train split's most frequent answer.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 500
    max_new_tokens: PositiveInt = 24
    batch_size: PositiveInt = 32

    def __call__(self, model, processor) -> dict[str, float]:
        rows, stop = self.data(self.split, processor), ends(processor)
        held_out = [rows[index] for index in range(min(self.limit, len(rows)))]
        train = self.data("train", processor)
        often = Counter(tuple(expected(train[index], stop)) for index in range(len(train))).most_common(1)[0][0]
        tokenizer = tokenizer_of(processor)
        wanted = [tokenizer.decode(expected(row, stop)).strip() for row in held_out]
        said = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in self.answers(model, rows, held_out, stop)]
        frequent = tokenizer.decode(often).strip()
        return rate("exact_match", np.array([one == other for one, other in zip(said, wanted, strict=True)])) | rate(
            "baseline/most_frequent_exact_match", np.array([frequent == each for each in wanted])
        )

    @torch.no_grad()
    def answers(self, model, rows, held_out: list[dict], stop: set[int]) -> list[list[int]]:
        """The greedy answer to each row, without what ends it. Rows whose prompts are of one length share a batch: nothing is padded."""
        together: dict[int, list[int]] = defaultdict(list)
        found: list[list[int]] = [[] for _ in held_out]
        for place, row in enumerate(held_out):
            together[len(prompt(row))].append(place)
        for places in together.values():
            for begin in range(0, len(places), self.batch_size):
                part = places[begin : begin + self.batch_size]
                given = [{name: row[name] for name in SEEN if name in row} | ask(row) for row in (held_out[place] for place in part)]
                made = model.generate(**placed(model, rows.collate(given)), max_new_tokens=self.max_new_tokens, do_sample=False)
                for place, ids in zip(part, made.tolist(), strict=True):
                    found[place] = until(ids[len(prompt(held_out[place])) :], stop)
        return found


def prompt(row: dict) -> list[int]:
    """The ids before the first answer; none where a sound is all that is given."""
    if "decoder_labels" in row:
        return []
    return row["input_ids"][: next(place for place, label in enumerate(row["labels"]) if label != -100)]


def ask(row: dict) -> dict:
    """The prompt as a column, where there is one."""
    ids = prompt(row)
    return {"input_ids": ids} if ids else {}


def expected(row: dict, stop: set[int]) -> list[int]:
    """The ids of the first answer, without what ends it."""
    if "decoder_labels" in row:
        return until(row["decoder_labels"], stop)
    return until(row["labels"][len(prompt(row)) :], stop)


def until(ids: list[int], stop: set[int]) -> list[int]:
    """The ids before the first one of `stop`."""
    return ids[: next((place for place, token in enumerate(ids) if token in stop), len(ids))]
