import families
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from fmcycle.errors import InputError
from fmcycle.model.prepare import check_asked, fit_to, like, quiet
from fmcycle.processor import store

NODE = {"_target_": "transformers.LlamaForCausalLM", "hidden_size": 64, "vocab_size": 512}


def test_the_base_that_was_asked_for_passes_and_another_is_named(material):
    check_asked(material / "model", NODE)
    with pytest.raises(InputError, match=r"is a LlamaForCausalLM with hidden_size 64; you asked for model\.hidden_size=128"):
        check_asked(material / "model", NODE | {"hidden_size": 128})
    with pytest.raises(InputError, match=r"you asked for model\.architecture=GPT2LMHeadModel"):
        check_asked(material / "model", NODE | {"_target_": "transformers.GPT2LMHeadModel"})


def test_a_model_takes_its_token_ids_from_the_processor(material):
    processor = store.load_processor(material / "processor")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = fit_to(LlamaForCausalLM(LlamaConfig(vocab_size=512, **sizes)), processor)
    assert model.generation_config.eos_token_id == sorted([processor.convert_tokens_to_ids("<|end|>"), processor.eos_token_id])
    with pytest.raises(InputError, match=r"512 tokens, model\.vocab_size is 500"):
        fit_to(LlamaForCausalLM(LlamaConfig(vocab_size=500, **sizes)), processor)


def test_the_blocks_of_a_new_model_add_nothing_yet_and_can_learn():
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))
    for model in (quiet(LlamaForCausalLM(LlamaConfig(vocab_size=40, **sizes))), quiet(gpt).eval()):
        ids = torch.arange(12)[None]
        states = model(input_ids=ids, labels=ids, output_hidden_states=True)
        torch.testing.assert_close(states.hidden_states[1], states.hidden_states[0], rtol=0, atol=0)
        states.loss.backward()
        still = [name for name, parameter in model.named_parameters() if parameter.ndim == 2 and parameter.data.abs().sum() == 0]
        assert len(still) == 4 and all(model.get_parameter(name).grad.abs().sum() > 0 for name in still)


def test_a_model_like_another_has_its_sizes_and_none_of_its_weights(tmp_path):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}
    model = LlamaForCausalLM(LlamaConfig(**sizes))
    model.save_pretrained(tmp_path)
    found = like(tmp_path)
    assert {name: p.shape for name, p in found.named_parameters()} == {name: p.shape for name, p in model.named_parameters()}
    assert not torch.equal(found.model.layers[0].mlp.up_proj.weight, model.model.layers[0].mlp.up_proj.weight)


def test_a_new_masked_autoencoder_knows_where_its_patches_are():
    made = quiet(families.masked_image()[0])
    for places in (made.vit.embeddings.position_embeddings[0], made.decoder.decoder_pos_embed[0]):
        assert len({tuple(place) for place in places.tolist()}) == len(places)  # no two of them look alike
    assert made.vit.embeddings.cls_token.abs().sum() > 0 and made.decoder.mask_token.abs().sum() > 0
