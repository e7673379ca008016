"""Every family has one engine of ours, and another of ours is refused by name."""

import json

import families
import pytest
import yaml

from fmcycle.engine import fit
from fmcycle.errors import InputError


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("BertForSequenceClassification", "classifier"),
        ("ViTForImageClassification", "classifier"),
        ("WhisperForAudioClassification", "classifier"),
        ("MixtralForCausalLM", "transformers"),
        ("GPT2LMHeadModel", "transformers"),
        ("LlavaForConditionalGeneration", "transformers"),
        ("WhisperForConditionalGeneration", "speech"),
        ("T5ForConditionalGeneration", "seq2seq"),
        ("BertForMaskedLM", "embedding"),
        ("ViTMAEForPreTraining", "embedding"),
        ("CLIPModel", "embedding"),
        ("AcmeNet", None),
    ],
)
def test_an_architecture_names_its_engine_and_others_are_refused(tmp_path, family, name):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [family]}))
    assert fit.engine_of(tmp_path) == (family, name)
    for other, target in fit.NAMES.items():
        if name and other != name:
            with pytest.raises(InputError, match=f"{family}, which engine={other} does not serve: take engine={name}"):
                fit.check(tmp_path, target)
        else:
            fit.check(tmp_path, target)
    fit.check(tmp_path, "acme.engine.Fast")  # a person's own engine knows what it serves


def test_a_decoder_without_a_tokenizer_writes_pixels_and_a_pipeline_is_diffusion(tmp_path):
    assert fit.engine_of(families.save("pixel_decoder", tmp_path / "pixel")) == ("GPT2LMHeadModel over pixels", "pixel")
    assert fit.engine_of(families.save("diffusion", tmp_path / "diffusion"))[1] == "diffusion"


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: not there"):
        fit.engine_of(tmp_path)


def test_every_engine_has_its_config(root):
    for name, target in fit.NAMES.items():
        assert yaml.safe_load((root / f"conf/engine/{name}.yaml").read_text())["_target_"] == target
