import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.optimizer.adamw import adamw
from fmcycle.optimizer.group import split
from fmcycle.optimizer.muon import muon, orthogonal


def small(tied: bool = True):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}
    return LlamaForCausalLM(LlamaConfig(tie_word_embeddings=tied, **sizes))


def trained(model, optimizer, steps=60) -> list[float]:
    ids, losses = torch.arange(64).view(4, 16), []
    for _ in range(steps):
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_singular_values_come_near_one():
    torch.manual_seed(0)
    for shape in ((3, 32, 32), (2, 48, 16), (2, 16, 48)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.3 and values.max() < 1.6 and abs(values.mean() - 1) < 0.2


def test_every_trained_weight_is_in_one_group():
    for tied in (True, False):
        model = small(tied)
        kinds = split(model)
        assert sum(map(len, kinds.values())) == len(list(model.parameters()))
        assert len(kinds["matrix"]) == 14 and len(kinds["embedding"]) == (1 if tied else 2) and len(kinds["vector"]) == 5


def test_frozen_weights_are_in_none():
    model = small()
    model.model.requires_grad_(False)
    assert split(model) == {"matrix": [], "embedding": [], "vector": []}


def test_both_learn_and_muon_learns_with_its_state_reloaded():
    for make in (lambda m: muon(m), lambda m: adamw(m, lr=3e-3)):
        model = small()
        optimizer = make(model)
        losses = trained(model, optimizer)
        assert losses[-1] < 0.5 * losses[0]
        again = make(model)
        again.load_state_dict(optimizer.state_dict())
        assert trained(model, again, 5)[-1] <= losses[-1] * 1.5


def test_only_matrices_decay():
    for optimizer in (adamw(small(), weight_decay=0.3), muon(small(), weight_decay=0.3)):
        decays = {group["weight_decay"]: group["params"] for group in optimizer.param_groups}
        assert all(p.ndim == 2 for p in decays[0.3]) and len(decays[0.3]) == 14


SHARDED = """
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from fmcycle.optimizer.muon import orthogonal, orthogonal_in_shards

mesh = init_device_mesh("cpu", (2,))
torch.manual_seed(0)
for shape in ((3, 7, 5), (1, 8, 4), (4, 4, 9), (2, 1, 6)):
    matrices = torch.randn(shape)
    stack = torch.stack([distribute_tensor(matrix, mesh, [Shard(0)]) for matrix in matrices])
    made = orthogonal_in_shards(stack)
    assert made.placements == stack.placements and made.shape == stack.shape
    assert torch.equal(made.full_tensor(), orthogonal(matrices)), shape
distributed.destroy_process_group()
"""


@pytest.mark.prove
def test_matrices_whose_rows_lie_on_two_devices_are_orthogonalised_whole(tmp_path):
    (tmp_path / "sharded.py").write_text(SHARDED)
    torchrun = [str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc_per_node", "2", str(tmp_path / "sharded.py")]
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(torchrun, env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_expert_is_trained_as_the_matrix_that_it_is():
    torch.manual_seed(0)
    both = torch.nn.Parameter(torch.randn(2, 8, 16))
    alone = [torch.nn.Parameter(part.clone()) for part in both.data]
    for parameters in ([both], alone):
        torch.manual_seed(1)
        gradient = torch.randn(2, 8, 16)
        module = torch.nn.ParameterList(parameters)
        for parameter, grad in zip(parameters, [gradient] if len(parameters) == 1 else gradient, strict=True):
            parameter.grad = grad.clone()
        muon(module, lr=0.1).step()
    torch.testing.assert_close(both.data, torch.stack([part.data for part in alone]))
