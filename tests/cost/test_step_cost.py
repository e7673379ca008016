"""What a step costs is found without doing it, and is what it costs."""

from functools import partial

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from fmcycle.cost import step_cost
from fmcycle.kernels import linear_cross_entropy, rowwise
from fmcycle.objective.dpo import DPO
from fmcycle.objective.next_token import NextToken
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.adamw import adamw
from fmcycle.optimizer.muon import muon
from fmcycle.strategy.freeze import freeze

PARTS = rowwise.parts
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 128}


def llama(tied: bool = True, **more):
    return LlamaForCausalLM(LlamaConfig(**SIZES | more, tie_word_embeddings=tied))


def gpt():
    return GPT2LMHeadModel(GPT2Config(vocab_size=128, n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0))


def lora():
    from peft import LoraConfig, get_peft_model

    return get_peft_model(llama(), LoraConfig(r=4, target_modules="all-linear"))


def batch(rows: int = 4, length: int = 32) -> dict:
    ids = torch.randint(0, 128, (rows, length), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :10] = -100
    side = {"input_ids": ids, "labels": labels}
    return side | {"chosen": side, "rejected": side, "reference_chosen": torch.zeros(rows), "reference_rejected": torch.zeros(rows)}


def size(tensors) -> int:
    return sum(x.numel() * x.element_size() for x in set(tensors))


def test_one_slice_of_a_layer_s_rows_counts_for_all(monkeypatch):
    def said():
        return step_cost.step_cost(lambda: linear_cross_entropy.fuse(llama()), batch(3, 150), NextToken(), adamw)

    at_once = said()
    monkeypatch.setattr(step_cost.Meter, "parts", lambda meter, count, size=rowwise.ROWS: PARTS(count, size))
    assert said() == at_once


@pytest.mark.parametrize("optimizer", [adamw, muon])
@pytest.mark.parametrize(
    "make",
    [llama, partial(llama, tied=False), gpt, lora, lambda: freeze(llama(), train=["norm"])],
    ids=["tied", "untied", "gpt", "lora", "freeze"],
)
def test_the_bytes_of_the_state_are_exact(make, optimizer):
    said = step_cost.step_cost(lambda: linear_cross_entropy.fuse(make()), batch(), SFT(), optimizer)
    model = linear_cross_entropy.fuse(make())
    SFT()(model, batch())["loss"].backward()
    real = optimizer(model)
    real.step()
    assert said.weights == size([*model.parameters(), *model.buffers()])
    assert said.gradients == size(p.grad for p in model.parameters() if p.grad is not None)
    assert said.optimizer == size(x for state in real.state.values() for x in state.values() if isinstance(x, torch.Tensor))
    assert said.parameters == sum(p.numel() for p in model.parameters())
    assert said.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_the_flops_are_those_of_the_products():
    rows, length, width, layers = 4, 32, 64, 2
    said = step_cost.step_cost(llama, batch(rows, length), NextToken(), adamw)
    body = layers * (4 * width * width + 3 * width * 96)
    assert said.micro["matmul_flops"] == 6 * rows * length * (body + width * 128)
    forward = 2 * 2 * rows * length * length * width * layers / 2  # causal: half
    assert said.micro["attention_flops"] == pytest.approx(3.5 * forward)


@pytest.mark.parametrize("objective", [NextToken(), SFT(), SFT(normalize_by="answer"), DPO(sft_weight=1.0)], ids=str)
def test_every_objective_can_be_imagined_and_more_rows_cost_more(objective):
    few, many = (step_cost.step_cost(lambda: linear_cross_entropy.fuse(llama()), batch(rows), objective, adamw) for rows in (2, 8))
    assert many.flops == pytest.approx(4 * few.flops, rel=0.01)
    assert 3 * few.activations < many.activations < 4.2 * few.activations + many.state


def test_nothing_is_done_and_nothing_is_left_behind():
    huge = {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 8, "num_attention_heads": 64}
    said = step_cost.step_cost(partial(llama, **huge), batch(2, 16), NextToken(), adamw)
    assert said.weights > 30e9
    assert (torch.ones(3).sum(), torch.get_default_dtype()) == (3, torch.float32)
    assert type(torch.nn.Linear(2, 2).to(torch.float64).weight.data) is torch.Tensor
    assert torch.nn.Linear(2, 2).to(torch.float64).weight.dtype == torch.float64


@pytest.mark.parametrize("objective", [SFT(), DPO()], ids=["sft", "dpo"])
@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
def test_a_few_layers_tell_what_many_equal_ones_take(adapter, objective, monkeypatch):
    from peft import LoraConfig, get_peft_model

    def deep():
        model = llama(num_hidden_layers=12)
        config = LoraConfig(r=4, target_modules="all-linear", trainable_token_indices=[1, 5])
        return linear_cross_entropy.fuse(get_peft_model(model, config) if adapter else model)

    few = step_cost.step_costs(deep, [batch(), batch(2, 24)], objective, adamw)
    monkeypatch.setattr(step_cost.depth, "DEEP", 12)
    whole = [step_cost.step_cost(deep, each, objective, adamw) for each in (batch(), batch(2, 24))]
    for said, real in zip(few, whole, strict=True):
        exact = ("parameters", "trained", "weights", "gradients", "optimizer", "largest_block")
        assert all(getattr(said, name) == getattr(real, name) for name in exact)
        assert said.micro == pytest.approx(real.micro)
        moved = [work["near_bytes"] + work["far_bytes"] for work in (said.update, real.update)]  # one operation on all of many tensors
        assert moved[0] == pytest.approx(moved[1]) and said.update["calls"] == pytest.approx(real.update["calls"])
        assert real.activations <= said.activations <= 1.05 * real.activations and said.small == pytest.approx(real.small, rel=0.05)


def test_layers_that_are_computed_again_keep_less_and_work_more():
    def checkpointed():
        model = llama(num_hidden_layers=6)
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return model

    plain, again = (
        step_cost.step_cost(make, batch(8, 64), NextToken(), adamw) for make in (partial(llama, num_hidden_layers=6), checkpointed)
    )
    assert again.activations < 0.6 * plain.activations and again.flops > 1.2 * plain.flops


def test_half_precision_halves_the_state():
    full, half = (step_cost.step_cost(llama, batch(), NextToken(), adamw, precision=precision) for precision in ("32-true", "bf16-true"))
    assert half.gradients * 2 == full.gradients


def test_packed_rows_are_imagined_with_their_real_positions():
    packed = batch(2, 32) | {"position_ids": torch.tensor([[*range(20), *range(12)], [*range(32)]])}
    said = step_cost.step_cost(lambda: linear_cross_entropy.fuse(llama()), packed, NextToken(), adamw)
    assert said.micro["attention_flops"] == 2 * 7 * 2 * 64 * (20**2 + 12**2 + 32**2) / 2
    whole = step_cost.step_cost(lambda: linear_cross_entropy.fuse(llama()), batch(2, 32), NextToken(), adamw)
    assert whole.micro["attention_flops"] == 2 * 7 * 2 * 64 * 2 * 32**2 / 2
    assert said.flops < whole.flops and said.micro["matmul_flops"] < 1.01 * whole.micro["matmul_flops"]


def test_work_is_counted_once_and_by_where_its_numbers_lie():
    rows, length = 4, 32
    plain, fused = (
        step_cost.step_cost(make, batch(rows, length), NextToken(), adamw) for make in (llama, lambda: linear_cross_entropy.fuse(llama()))
    )
    head = 2 * 64 * 128  # of one token with the output layer; of 10 in a row nothing is learnt, and the fused one leaves them out
    assert fused.micro["matmul_flops"] == plain.micro["matmul_flops"] - 3 * 10 * rows * head
    assert plain.micro["far_bytes"] == fused.micro["far_bytes"] == 0  # nothing here is larger than a core's cache
    wide = step_cost.step_cost(partial(llama, intermediate_size=2048), batch(rows, 128), NextToken(), adamw)
    assert wide.micro["far_bytes"] > 0 < wide.micro["functions"]
    values = rows * 128 * 2048 * 2  # of silu, in two layers; its backward as many
    assert wide.micro["functions"] >= 2 * values
    assert wide.micro["far_bytes"] < 100 * values


def test_asking_for_the_device_of_a_tensor_is_no_work():
    with step_cost.imagined() as meter:
        x = torch.ones(2**20)
        before = dict(meter.work)
        torch.ops.prim.device(x)
    assert {kind: meter.work[kind] - before[kind] for kind in before} | {"calls": 0} == dict.fromkeys(step_cost.KINDS, 0)


def test_experts_cost_what_a_token_goes_through():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    batch, found = {"input_ids": torch.randint(0, 64, (4, 16))}, {}
    for chosen in (1, 2):
        config = MixtralConfig(vocab_size=64, num_local_experts=4, num_experts_per_tok=chosen, **sizes)
        found[chosen] = step_cost.step_cost(partial(MixtralForCausalLM, config), batch, NextToken(), muon).flops
    assert found[2] - found[1] == 3 * 2 * (4 * 16) * 2 * (3 * 32 * 48), "three products of an expert, forward and twice backward"
