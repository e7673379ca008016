"""Classifies texts, images or sounds: a probability for each label. The model decides which of the three it reads."""

import torch

from fmcycle.engine import inputs
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.model.inputs import batched, placed
from fmcycle.ranges import PositiveInt

KINDS = {"input_ids": "text", "pixel_values": "image"}  # a model with any other main input reads sound
READS = {"text": "texts", "image": "images", "audio": "audio files"}


class Classifier:
    """`classify(inputs)` returns {label: probability} for each text (str) or file (bytes).

    The probabilities of an input add up to 1. If the model's config says `multi_label_classification`, each label has its own probability.
    """

    tasks = ("classify",)

    def __init__(self, folder: str, batch: PositiveInt = 16, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.batch = batch
        self.takes = (KINDS.get(self.model.main_input_name, "audio"),)
        self.labels = [self.model.config.id2label[index] for index in range(self.model.config.num_labels)]
        if self.model.config.problem_type == "regression" or len(self.labels) < 2:
            raise InputError(
                f"{folder}: a model with {len(self.labels)} label(s) gives a number, no class; it can't be served as a classifier"
            )

    def warm_up(self) -> None:
        """Classify one text, so that the first client does not wait for lazy initialisation."""
        if self.takes == ("text",):
            self.classify(["Hello"])

    def classify(self, items: list[str | bytes]) -> list[dict[str, float]]:
        """Return {label: probability} for each item. Raises InputError for an item of a kind that the model does not read."""
        wanted = str if self.takes == ("text",) else bytes
        if any(not isinstance(item, wanted) for item in items):
            raise InputError(f"this model classifies {READS[self.takes[0]]} only")
        return [row for part in batched(items, self.batch) for row in self._some(part)]

    @torch.inference_mode()
    def _some(self, items: list) -> list[dict[str, float]]:
        if self.takes == ("text",):
            given, _ = inputs.texts(self.model, self.processor, items)
        else:
            given = (inputs.pictures if self.takes == ("image",) else inputs.sounds)(self.processor, items)
        logits = self.model(**placed(self.model, given)).logits.float()
        several = self.model.config.problem_type == "multi_label_classification"
        probabilities = torch.sigmoid(logits) if several else torch.softmax(logits, -1)
        return [dict(zip(self.labels, row, strict=True)) for row in probabilities.tolist()]
