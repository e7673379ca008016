import elsewhere
import pytest
import torch
import torch.nn.functional as F

from fmcycle.errors import InputError
from fmcycle.kernels import linear_cross_entropy


def test_the_chunked_loss_and_its_gradients_are_those_of_cross_entropy(monkeypatch):
    monkeypatch.setattr(linear_cross_entropy, "CHUNK", 7)
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(20, 8), torch.randn(30, 8), torch.randint(0, 30, (20,))
    found = []
    for loss_of in (
        lambda h, w: linear_cross_entropy.LinearCrossEntropy.apply(h, w, None, None, targets),
        lambda h, w: F.cross_entropy(h @ w.T, targets, reduction="sum"),
    ):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        loss = loss_of(h, w)
        (3 * loss).backward()
        found.append((loss.detach(), h.grad, w.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_fuse_leaves_the_state_dict_and_plain_takes_it_back():
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=64))
    ids, names = torch.randint(0, 64, (2, 5)), list(model.state_dict())
    before = model(ids).logits
    assert list(linear_cross_entropy.fuse(model).state_dict()) == names
    assert model(ids).logits.shape == (2, 5, 32)
    torch.testing.assert_close(linear_cross_entropy.plain(model)(ids).logits, before)


def test_without_a_compiler_compile_is_refused_before_anything_is_trained(monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", (None, "/nowhere/g++"))
    monkeypatch.setattr(config, "force_disable_caches", True)
    with pytest.raises(InputError, match=r"trainer\.compile=false"):
        linear_cross_entropy.check_compiler("cpu")


def test_elsewhere_the_loss_takes_larger_pieces_in_the_precision_that_is_asked_for():
    with elsewhere.device() as device:
        for place, rows in (("cpu", linear_cross_entropy.CHUNK), (device, linear_cross_entropy.FAR_CHUNK // 1000)):
            hidden, weight = torch.zeros(4, 8, device=place), torch.zeros(1000, 8, device=place)
            assert linear_cross_entropy._chunk(hidden, weight) == (rows, torch.float32)
            with torch.autocast(torch.device(place).type, torch.bfloat16):
                kind = torch.float32 if place == "cpu" else torch.bfloat16
                assert linear_cross_entropy._chunk(hidden, weight) == (rows, kind)
