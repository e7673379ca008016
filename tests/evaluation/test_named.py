"""What is said is held against what was expected, word for word, beside the most frequent answer."""

from types import SimpleNamespace

import families
import numpy as np
import pytest
import torch

from fmcycle.data.table import Rows
from fmcycle.evaluation.named import Named, expected, prompt
from fmcycle.processor.audio import transcript
from fmcycle.processor.components import ends, pad
from fmcycle.processor.image import conversation


@pytest.fixture(scope="module", params=["vision_language", "speech"])
def learnt(request):
    """(model, processor, rows that it knows, what it says of them)."""
    torch.manual_seed(0)
    model, processor = getattr(families, request.param)()
    if request.param == "speech":
        rows = [transcript({"media": families.WAV, "text": text}, processor) for text in ("the bucket", "an owner", "the bucket")]
        return model.eval(), processor, rows, [1, 0, 1]
    known = zip((families.PNG, families.OTHER_PNG), families.NAMES, strict=True)
    rows = [conversation({"media": picture, "text": name}, processor, question="name it") for picture, name in known]
    return model.eval(), processor, [*rows, conversation({"media": families.PNG, "text": "B"}, processor, question="name it")], [1, 1, 0]


def test_answers_are_counted_and_the_most_frequent_one_is_the_trainings(learnt):
    model, processor, rows, right = learnt
    table = Rows(rows, pad(processor))
    train = Rows([rows[1], rows[1], rows[0]], pad(processor))
    found = Named(lambda split, _: train if split == "train" else table, batch_size=2, max_new_tokens=6)(model, processor)
    often = [expected(row, ends(processor)) == expected(rows[1], ends(processor)) for row in rows]
    assert found["exact_match"] == pytest.approx(np.mean(right), abs=1e-6) and found["exact_match/n"] == 3
    assert found["baseline/most_frequent_exact_match"] == pytest.approx(np.mean(often), abs=1e-6)


def test_prompts_of_different_lengths_are_answered_in_their_order():
    """A model that says the length of what it was given, so that a row in a wrong place would show."""

    def generate(input_ids, pixel_values, **_):
        return torch.cat([input_ids, torch.full((len(input_ids), 1), input_ids.shape[1])], 1)

    model = SimpleNamespace(device=torch.device("cpu"), generate=generate)
    picture = np.zeros((1, 2, 2), np.float32)
    sizes = (4, 3, 4, 5, 3)
    made = [{"pixel_values": picture, "input_ids": [9] * size + [1], "labels": [-100] * size + [1]} for size in sizes]
    rows = Rows(made, 0)
    assert [len(prompt(row)) for row in made] == list(sizes)
    said = Named(lambda *_: rows, batch_size=2).answers(model, rows, made, set())
    assert said == [[size] for size in sizes]
