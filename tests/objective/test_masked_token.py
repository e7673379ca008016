import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.objective.masked_token import MaskedToken


def test_about_the_share_is_predicted_and_every_row_teaches():
    model = LlamaForCausalLM(
        LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=64, pad_token_id=1)
    )
    torch.manual_seed(0)
    out = MaskedToken(share=0.15)(model, {"input_ids": torch.randint(2, 64, (64, 100))})
    assert 0.12 < float(out["count"]) / 6400 < 0.18
    assert float(MaskedToken(share=0.0)(model, {"input_ids": torch.randint(2, 64, (5, 10))})["count"]) == 5
