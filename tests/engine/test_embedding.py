"""Embeddings: of length one, the same alone and beside others, and what transformers' own pooling gives."""

import families
import numpy as np
import pytest
import torch

from fmcycle.artifact import atomic
from fmcycle.engine.embedding import Embedding
from fmcycle.errors import InputError

TEXTS = ["the bucket", "an owner of the bucket may list them all", "user"]


def test_a_text_has_the_same_vector_alone_and_beside_longer_ones(engine):
    together, tokens = engine("encoder").embed(TEXTS)
    alone = [engine("encoder").embed([text]) for text in TEXTS]
    assert np.allclose(together, np.concatenate([vectors for vectors, _ in alone]), atol=1e-6)
    assert tokens == sum(count for _, count in alone) and np.allclose(np.linalg.norm(together, axis=1), 1)
    assert together.dtype == np.float32 and together.shape == (3, 32)


def test_the_mean_is_over_the_last_layer(engine):
    one = engine("encoder")
    given = one.processor("the bucket", return_tensors="pt")
    with torch.inference_mode():
        hidden = one.model(input_ids=given["input_ids"]).last_hidden_state[0].mean(0)
    assert np.allclose(one.embed(["the bucket"])[0][0], hidden / hidden.norm(), atol=1e-6)


def test_the_folder_says_the_pooling(tmp_path):
    folder = families.save("encoder", tmp_path / "model")
    atomic.write_json(folder / "1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    one = Embedding(str(folder))
    with torch.inference_mode():
        first = one.model(**one.processor("the bucket", return_tensors="pt")).last_hidden_state[0, 0]
    assert np.allclose(one.embed(["the bucket"])[0][0], first / first.norm(), atol=1e-6)
    atomic.write_json(folder / "1_Pooling/config.json", {"pooling_mode_max_tokens": True})
    with pytest.raises(InputError, match="pooling_mode_max_tokens"):
        Embedding(str(folder))


def test_a_clip_gives_what_its_own_two_sides_give_in_the_order_asked(engine):
    one = engine("clip")
    vectors, _ = one.embed([families.PNG, "the bucket", families.OTHER_PNG])
    with torch.inference_mode():
        text = one.model.get_text_features(**one.processor.tokenizer("the bucket", return_tensors="pt")).pooler_output[0]
    assert np.allclose(vectors[1], text / text.norm(), atol=1e-6)
    assert np.allclose(vectors[2], one.embed([families.OTHER_PNG])[0][0], atol=1e-6) and not np.allclose(vectors[0], vectors[2])


def test_a_masked_autoencoder_sees_the_whole_picture_and_gives_the_same_twice(engine):
    one = engine("masked_image")
    first, again = one.embed([families.PNG, families.OTHER_PNG])[0], one.embed([families.PNG])[0]
    assert np.allclose(first[0], again[0], atol=1e-6) and not np.allclose(first[0], first[1])


def test_what_it_does_not_read_is_refused(engine):
    with pytest.raises(InputError, match="reads texts"):
        engine("encoder").embed([families.PNG])
    with pytest.raises(InputError, match="reads pictures"):
        engine("masked_image").embed(["text"])
    with pytest.raises(InputError, match="this model reads 64"):
        engine("encoder").embed(["bucket " * 100])
