"""What sees begins with the weights of an encoder of pictures and of a language model, and with nothing that is not theirs."""

import families
import pytest
import torch
import transformers

from fmcycle.errors import InputError
from fmcycle.model.transfer import with_parts


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tmp_path_factory.mktemp("parts")
    return {name: families.save(family, made / name) for name, family in (("vision", "clip"), ("language", "decoder"))}


def fresh(**text):
    """A model of the parts' sizes with one token more."""
    words = families.tokenizer("<image>")
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**families.TINY, **families.IMAGE),
        text_config=transformers.LlamaConfig(**families.text_config(words) | text),
        image_token_id=len(words) - 1,
    )
    return transformers.LlavaForConditionalGeneration(config)


def test_each_part_has_its_own_weights_and_the_rest_stays_new(folders):
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = with_parts(model, folders).state_dict()
    vision, language = (transformers.AutoModel.from_pretrained(folders[name]).state_dict() for name in ("vision", "language"))
    rows = len(language["embed_tokens.weight"])
    for name, value in found.items():
        if name.startswith("model.vision_tower."):
            assert torch.equal(value, vision[name.replace("model.vision_tower.", "vision_model.")]), name
        elif name == "model.language_model.embed_tokens.weight":
            assert torch.equal(value[:rows], language["embed_tokens.weight"]) and torch.equal(value[rows:], before[name][rows:])
        elif name.startswith("model.language_model."):
            assert torch.equal(value, language[name.replace("model.language_model.", "")]), name
        elif name.startswith("model.multi_modal_projector."):
            assert torch.equal(value, before[name]), name


def test_a_part_of_another_size_and_a_model_without_it_are_refused(folders):
    with pytest.raises(InputError, match=r"inputs\.language: .* another shape"):
        with_parts(fresh(intermediate_size=48), folders)
    with pytest.raises(InputError, match=r"inputs\.vision: .* a LlamaForCausalLM has no such part"):
        with_parts(families.decoder()[0], {"vision": folders["vision"]})


def test_no_parts_change_nothing():
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert all(torch.equal(value, before[name]) for name, value in with_parts(model, {}).state_dict().items())
