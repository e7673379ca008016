import torch
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from fmcycle.objective.next_token import NextToken
from fmcycle.training import moe

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}


def experts(**fields):
    torch.manual_seed(0)
    return MixtralForCausalLM(MixtralConfig(**SIZES, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, **fields))


def test_the_loss_is_that_of_transformers_with_its_router():
    model, ids = experts(router_aux_loss_coef=0.1), torch.randint(0, 64, (3, 9))
    out = NextToken()(model, {"input_ids": ids})
    wanted = model(input_ids=ids, labels=ids, output_router_logits=True)
    torch.testing.assert_close(out["loss"] / out["count"], wanted.loss)
    torch.testing.assert_close(out["balance"] / out["count"], wanted.aux_loss)


def test_a_router_that_favours_one_expert_learns_to_use_the_others():
    model, ids = experts(router_aux_loss_coef=1.0), torch.randint(0, 64, (8, 16))
    model.model.embed_tokens.weight.data += 0.1
    for layer in model.model.layers:
        layer.mlp.gate.weight.data *= 0.1
        layer.mlp.gate.weight.data[0] = 0.1
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    balance = []
    for _ in range(60):
        out = NextToken()(model, {"input_ids": ids})
        (out["loss"] / out["count"]).backward()
        optimizer.step()
        optimizer.zero_grad()
        balance.append(float(out["balance"] / out["count"]))
    assert balance[0] > 3 > 2.2 > balance[-1], "2 experts a token: 2 where all are used alike"


def test_a_model_without_experts_stays_as_it_is():
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    assert moe.asked(model) == {} and set(NextToken()(model, {"input_ids": torch.randint(0, 64, (2, 9))})) == {"loss", "count"}
    assert moe.asked(experts(router_aux_loss_coef=0.0)) == {}
