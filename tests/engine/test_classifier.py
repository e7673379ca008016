"""Classes: probabilities of the model's own logits, for texts, pictures and sound."""

import families
import pytest
import torch
import transformers

from fmcycle.engine.classifier import Classifier
from fmcycle.errors import InputError
from fmcycle.model import store as model_store

GIVEN = {
    "text_classifier": ["the bucket", "owner"],
    "image_classifier": [families.PNG, families.OTHER_PNG],
    "audio_classifier": [families.WAV],
}


@pytest.mark.parametrize("family", GIVEN)
def test_probabilities_add_up_to_one_and_do_not_depend_on_the_company(engine, family):
    together = engine(family).classify(GIVEN[family])
    for item, row in zip(GIVEN[family], together, strict=True):
        assert list(row) == ["cat", "dog", "owl"] and sum(row.values()) == pytest.approx(1)
        assert engine(family).classify([item])[0] == pytest.approx(row, abs=1e-6)


def test_a_text_is_what_the_models_logits_say(engine):
    one = engine("text_classifier")
    with torch.inference_mode():
        logits = one.model(**one.processor("the bucket", return_tensors="pt")).logits[0]
    assert list(one.classify(["the bucket"])[0].values()) == pytest.approx(torch.softmax(logits, -1).tolist())


def test_several_labels_have_each_their_own_probability(tmp_path):
    model, processor = families.text_classifier()
    model.config.problem_type = "multi_label_classification"
    model_store.save_model(model, processor, tmp_path / "model")
    with torch.inference_mode():
        logits = model.eval()(**processor("the bucket", return_tensors="pt")).logits[0]
    found = Classifier(str(tmp_path / "model")).classify(["the bucket"])[0]
    assert list(found.values()) == pytest.approx(torch.sigmoid(logits).tolist(), abs=1e-6)


def test_a_regression_is_no_classifier(tmp_path):
    processor = families.tokenizer()
    config = transformers.BertConfig(**families.text_config(processor), num_labels=1)
    model_store.save_model(transformers.BertForSequenceClassification(config), processor, tmp_path / "model")
    with pytest.raises(InputError, match="gives a number, no class"):
        Classifier(str(tmp_path / "model"))


def test_what_it_does_not_read_is_refused(engine):
    with pytest.raises(InputError, match="audio files only"):
        engine("audio_classifier").classify(["text"])
    with pytest.raises(InputError, match="not a readable audio file"):
        engine("audio_classifier").classify([families.PNG])
    with pytest.raises(InputError, match="not a readable image"):
        engine("image_classifier").classify([families.WAV])
