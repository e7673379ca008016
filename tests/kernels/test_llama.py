"""A rewritten Llama computes what it did: values, gradients, state dict."""

import re

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from fmcycle.cost import step_cost
from fmcycle.kernels import linear_cross_entropy
from fmcycle.kernels import llama as dense
from fmcycle.objective.next_token import NextToken
from fmcycle.optimizer.adamw import adamw
from fmcycle.strategy.freeze import freeze


def llama(**changed) -> LlamaForCausalLM:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**sizes | changed)).train()
    with torch.no_grad():
        for module in model.modules():
            if "RMSNorm" in type(module).__name__:
                module.weight.uniform_(0.5, 1.5)  # not all the same, or a wrong gradient of them would not show
    return model


def step(model) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    ids = torch.randint(0, 64, (3, 70), generator=torch.Generator().manual_seed(0))
    loss = NextToken()(model, {"input_ids": ids})["loss"]
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(
    "changed",
    [{}, {"num_key_value_heads": 2}, {"tie_word_embeddings": True}, {"head_dim": 16}, {"attention_bias": True, "mlp_bias": True}],
    ids=["plain", "grouped", "tied", "wide heads", "biases"],
)
def test_fused_equals_plain(changed):
    loss, grads = step(llama(**changed))
    fused_loss, fused_grads = step(linear_cross_entropy.fuse(llama(**changed)))
    torch.testing.assert_close(fused_loss, loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused_grads, grads, rtol=1e-5, atol=1e-5)


def test_the_rewrite_runs_and_its_undoing_leaves_nothing():
    model = llama()
    before, names = model(torch.arange(9)[None]).logits, list(model.state_dict())
    linear_cross_entropy.fuse(model)
    assert list(model.state_dict()) == names
    kinds = {type(function).__name__ for function in graph(model)}
    assert {"NormBackward", "ProjectionsBackward", "AddedBackward", "MLPBackward"} <= kinds
    linear_cross_entropy.plain(model)
    assert not [module for module in model.modules() if "forward" in module.__dict__]
    assert torch.equal(model(torch.arange(9)[None]).logits, before)


def graph(model) -> set:
    """Every function of the graph behind an output of `model`."""
    found, todo = set(), [model(torch.arange(9)[None], use_cache=False).logits.grad_fn]
    while todo:
        function = todo.pop()
        if function is not None and function not in found:
            found.add(function)
            todo += [following for following, _ in function.next_functions]
    return found


def test_gradients_add_up_over_micro_batches_and_parameters_keep_to_themselves():
    once, twice = linear_cross_entropy.fuse(llama()), linear_cross_entropy.fuse(llama())
    step(once)
    step(twice)
    _, grads = step(twice)
    for name, parameter in once.named_parameters():
        torch.testing.assert_close(grads[name], 2 * parameter.grad, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        grads["model.layers.0.self_attn.q_proj.weight"].zero_()
    assert grads["model.layers.0.self_attn.k_proj.weight"].any()


def test_with_gradient_checkpointing_less_is_kept_and_the_gradients_are_the_same():
    kept = {}
    for flag in (False, True):
        model, sizes = linear_cross_entropy.fuse(llama(num_hidden_layers=6)), {}
        if flag:
            model.activation_checkpointing_enable({"use_reentrant": False})

        def pack(tensor, sizes=sizes):
            sizes[tensor.data_ptr()] = 0 if isinstance(tensor, torch.nn.Parameter) else tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            kept[flag] = step(model), sum(sizes.values())
    torch.testing.assert_close(kept[True][0], kept[False][0], rtol=1e-6, atol=1e-6)
    assert kept[True][1] < 0.5 * kept[False][1]


def test_generation_half_precision_and_frozen_layers_are_as_they_were():
    model, ids = llama().eval(), torch.arange(9)[None]
    text = model.generate(ids, max_new_tokens=8, do_sample=False)
    assert torch.equal(dense.fuse(model).generate(ids, max_new_tokens=8, do_sample=False), text)
    half = llama().bfloat16()
    before = half(ids).logits
    assert torch.equal(dense.fuse(half)(ids).logits, before)
    frozen = [llama(), dense.fuse(llama())]
    for each in frozen:
        each.model.layers[0].requires_grad_(False)
    torch.testing.assert_close(*[step(each)[1] for each in frozen], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("train", ["norm", "embed|lm_head", "q_proj|up_proj", "down_proj", "o_proj", "layernorm|k_proj"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_gets_its_own(train):
    found = []
    for model in (llama(), linear_cross_entropy.fuse(llama())):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(re.search(train, name) is not None)
        found.append(step(model))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-5)
    assert any(grad is None for grad in found[1][1].values()) and any(grad is not None for grad in found[1][1].values())


def test_frozen_matrices_cost_no_products_of_their_own():
    kinds = {}
    for train in (".*", "norm|embed|lm_head"):
        ids = {"input_ids": torch.ones(2, 16, dtype=torch.int64)}
        kinds[train] = step_cost.step_cost(
            lambda train=train: linear_cross_entropy.fuse(freeze(llama(), train=[train])), ids, NextToken(), adamw
        )
    body, head = 2 * (4 * 32 * 32 + 3 * 32 * 48), 32 * 64
    assert kinds[".*"].micro["matmul_flops"] == 6 * 30 * head + 6 * 32 * body
    assert kinds["norm|embed|lm_head"].micro["matmul_flops"] == 6 * 30 * head + 4 * 32 * body


def test_another_architecture_stays_as_it_is():
    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64, n_positions=32, bos_token_id=0, eos_token_id=0))
    dense.fuse(model)
    assert not [module for module in model.modules() if "forward" in module.__dict__]
