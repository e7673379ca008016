import pytest
import torch
import transformers

from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.model.transfer import architecture, on_body, same
from fmcycle.processor import store

SIZES = {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 1}
SIZES |= dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)


def classifier(**fields):
    return transformers.ModernBertForSequenceClassification(transformers.ModernBertConfig(**SIZES | fields, num_labels=3))


@pytest.fixture
def trained(tmp_path, material):
    torch.manual_seed(0)
    model = transformers.ModernBertForMaskedLM(transformers.ModernBertConfig(**SIZES))
    model_store.save_model(model, store.load_processor(material / "processor"), tmp_path / "masked")
    return tmp_path / "masked", model


def test_a_new_head_stands_on_the_body_that_was_trained(trained, capsys):
    folder, model = trained
    fresh = classifier()
    head = fresh.classifier.weight.clone()
    found = on_body(fresh, folder)
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        torch.testing.assert_close(found.eval().model(ids)[0], model.eval().model(ids)[0], rtol=0, atol=0)
    assert torch.equal(found.classifier.weight, head) and "new: classifier, head" in capsys.readouterr().out


def test_a_body_of_another_size_or_family_is_refused(trained, material):
    with pytest.raises(InputError, match=r"another shape; take the model=\.\.\."):
        on_body(classifier(hidden_size=64), trained[0])
    with pytest.raises(InputError, match="is missing there"):
        on_body(classifier(), material / "model")


def test_whose_class_a_folder_is(trained, tmp_path):
    assert architecture(trained[0]) == "ModernBertForMaskedLM" and architecture(tmp_path) is None
    assert same(trained[0], {"_target_": "transformers.ModernBertForMaskedLM"})
    assert not same(trained[0], {"_target_": "transformers.ModernBertForSequenceClassification"})
    assert same(tmp_path, {"_target_": "whatever.it.Is"})
