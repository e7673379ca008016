"""What is said is held against what was expected, word for word, beside the most frequent answer."""

import families
import numpy as np
import pytest
import torch

from fmcycle.data.table import Rows
from fmcycle.evaluation.exact_match import ExactMatch, expected
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.guardrail.refuse import Refuse
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
    found = ExactMatch(lambda split, _: train if split == "train" else table, batch_size=2, max_new_tokens=6)(model, processor)
    often = [expected(row, ends(processor)) == expected(rows[1], ends(processor)) for row in rows]
    assert found["exact_match"] == pytest.approx(np.mean(right), abs=1e-6) and found["exact_match/n"] == 3
    assert found["baseline/most_frequent_exact_match"] == pytest.approx(np.mean(often), abs=1e-6)


def test_answers_are_judged_behind_the_guards(learnt):
    model, processor, rows, _ = learnt
    guards = {"output": [str.upper, Refuse(patterns=["BUCKET"])]}
    held = HeldOut(lambda split, _: Rows(rows[:2], pad(processor)), "test", processor)
    bare, guarded = (ExactMatch(None, max_new_tokens=6, guardrail=each).answers(model, processor, held) for each in (None, guards))
    assert guarded == ["" if "bucket" in text else text.upper() for text in bare]
