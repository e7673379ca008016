"""The time-tested methods learn what there is to learn, of texts and of numbers."""

import numpy as np

from fmcycle.evaluation.baseline import baselines
from fmcycle.processor.bpe import bpe

TEXTS = {"storage": ["store an object in a bucket", "delete the bucket and its objects", "list the objects of a bucket"]}
TEXTS["queue"] = ["send a message to the queue", "receive messages from a queue", "purge the queue of messages"]


def test_texts_are_told_by_their_words():
    words = [f"{text} {number}" for number in range(4) for texts in TEXTS.values() for text in texts]
    processor = bpe(words * 3, vocab_size=300)
    rows = [{"input_ids": processor(text)["input_ids"]} for text in words]
    labels = np.array([number for _ in range(4) for number, texts in enumerate(TEXTS.values()) for _ in texts])
    held_out = [{"input_ids": processor(text)["input_ids"]} for text in ("a bucket of objects", "a message for the queue")]
    found = baselines(rows, labels, held_out, processor)
    for name in ("regression", "ridge", "nearest_neighbour", "k_means"):
        assert found[name].tolist() == [0, 1], name


def test_with_nothing_to_see_all_are_near_chance():
    random = np.random.default_rng(0)
    rows = [{"pixel_values": random.normal(size=(1, 3, 3))} for _ in range(400)]
    labels = random.integers(0, 4, 400)
    for name, given in baselines(rows[:200], labels[:200], rows[200:], None).items():
        assert 0.1 < float((given == labels[200:]).mean()) < 0.4, name
