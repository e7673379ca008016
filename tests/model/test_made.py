import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle import artifact
from fmcycle.error import InputError
from fmcycle.model.made import check_asked, fit_to

NODE = {"_target_": "transformers.LlamaForCausalLM", "hidden_size": 64, "vocab_size": 512}


def test_the_base_that_was_asked_for_passes_and_another_is_named(material):
    check_asked(material / "model", NODE)
    with pytest.raises(InputError, match=r"is a LlamaForCausalLM with hidden_size 64; you asked for model\.hidden_size=128"):
        check_asked(material / "model", NODE | {"hidden_size": 128})
    with pytest.raises(InputError, match=r"you asked for model\.architecture=GPT2LMHeadModel"):
        check_asked(material / "model", NODE | {"_target_": "transformers.GPT2LMHeadModel"})


def test_a_model_takes_its_token_ids_from_the_processor(material):
    processor = artifact.load_processor(material / "processor")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = fit_to(LlamaForCausalLM(LlamaConfig(vocab_size=512, **sizes)), processor)
    assert model.generation_config.eos_token_id == [processor.convert_tokens_to_ids("<|end|>"), processor.eos_token_id]
    with pytest.raises(InputError, match=r"512 tokens, model\.vocab_size is 500"):
        fit_to(LlamaForCausalLM(LlamaConfig(vocab_size=500, **sizes)), processor)
