"""What was drawn is held against what was asked for: by class and by the captions of held-out rows."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmcycle.data.table import Rows
from fmcycle.evaluation.generated_images import GeneratedImages

NAMES = ["bottom", "left", "top"]
MARKS = [np.s_[:, 3:, :], np.s_[:, :, :1], np.s_[:, :1, :]]


def picture(label, random):
    made = random.normal(-0.8, 0.05, (1, 4, 4)).astype(np.float32)
    made[MARKS[label]] += 1.6
    return made


def rows(split, processor):
    random = np.random.default_rng(split == "test")
    made = [{"pixel_values": picture(n % 3, random), "labels": n % 3, "input_ids": [5] * (n % 3) + [7]} for n in range(60)]
    return Rows(made, 1, NAMES)


class Painter:
    """Draws the class that is asked for, but the last one in place of those in `wrong`; a text says its class by its length."""

    def __init__(self, text=False, wrong=()):
        self.text_encoder, self.wrong, self.asked = text or None, wrong, []
        self.config = SimpleNamespace(id2label=dict(enumerate(NAMES)))

    def sample(self, count, condition, *, steps, guidance, generator):
        labels = condition["labels"] if "labels" in condition else (condition["input_ids"] == 5).sum(1)
        assert len(labels) == count and ("labels" in condition) == (self.text_encoder is None)
        self.asked += labels.tolist()
        random = np.random.default_rng(0)
        return torch.from_numpy(np.stack([picture(2 if int(label) in self.wrong else int(label), random) for label in labels]))


@pytest.mark.parametrize("text", [False, True])
def test_what_is_drawn_as_asked_is_counted(text):
    painter = Painter(text)
    found = GeneratedImages(rows, each=4, batch_size=5)(painter, None)
    assert painter.asked == [0] * 4 + [1] * 4 + [2] * 4
    assert found["drawn_accuracy"] == found["baseline/real_accuracy"] == 1.0 and found["drawn_accuracy/n"] == 12


def test_what_is_not_is_told_by_its_class():
    found = GeneratedImages(rows, each=4)(Painter(wrong=(1,)), None)
    assert found["drawn_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert [found[f"{name}/drawn_accuracy"] for name in NAMES] == [1.0, 0.0, 1.0]


def test_pictures_of_the_train_split_drawn_again_are_told():
    class Copier(Painter):
        def sample(self, count, condition, **_):
            seen = rows("train", None).rows
            return torch.from_numpy(np.stack([seen[int(label)]["pixel_values"] for label in condition["labels"]]))

    copied, painted = (GeneratedImages(rows, each=4)(made, None) for made in (Copier(), Painter()))
    assert copied["drawn_nearest"] == 0 < painted["drawn_nearest/low"]
    assert copied["baseline/real_nearest"] == painted["baseline/real_nearest"] > 0
