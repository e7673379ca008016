"""Every objective in conf/objective builds and keeps the contract on its own sample: a summed loss, its count, a gradient."""

from pathlib import Path

import elsewhere
import pytest
import torch
import yaml

from fmcycle.config import example
from fmcycle.config.build import build
from fmcycle.kernels import linear_cross_entropy
from fmcycle.model.inputs import placed

FILES = sorted((Path(__file__).parents[2] / "conf/objective").glob("*.yaml"))
DRAWN = ("masked_token", "span_corruption", "masked_patch", "denoising")  # what is covered, or the noise, is drawn for the whole batch
AMONG = ("contrastive",)  # a row is told apart from the others of its batch


def sample(file: Path) -> tuple:
    """(objective, model, batch) of an option."""
    node = yaml.safe_load(file.read_text())
    torch.manual_seed(0)
    found = example.of("objective", node["_target_"])
    return build(node), found["model"], found["batch"]


def part(batch: dict, rows: slice) -> dict:
    """Some rows of a batch."""
    return {name: part(value, rows) if isinstance(value, dict) else value[rows] for name, value in batch.items()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_loss_is_a_sum_over_a_count_and_has_a_gradient(file):
    objective, model, batch = sample(file)
    out = objective(model, batch)
    assert out["loss"].ndim == 0 and float(out["count"]) > 0
    out["loss"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("file", [file for file in FILES if file.stem not in DRAWN + AMONG], ids=lambda file: file.stem)
def test_parts_of_a_batch_add_up_to_it(file):
    objective, model, batch = sample(file)
    whole = objective(model, batch)
    parts = [objective(model, part(batch, rows)) for rows in (slice(0, 3), slice(3, 8))]
    assert sum(float(part["count"]) for part in parts) == float(whole["count"])
    torch.testing.assert_close(sum(part["loss"] for part in parts), whole["loss"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_columns_are_what_its_methods_compute(file):
    from fmcycle.config import columns as column

    objective, model, batch = sample(file)
    columns = column.declared(objective)
    assert set(columns) <= set(batch)
    for name, function in columns.items():
        found = function(model, {key: value for key, value in batch.items() if key != name})
        assert found.shape == batch[name].shape == (len(found),)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_fused_equals_plain(file):
    found = []
    for rewrite in (linear_cross_entropy.plain, linear_cross_entropy.fuse):
        objective, model, batch = sample(file)
        model = rewrite(model.eval())
        torch.manual_seed(3)
        out = objective(model, batch)
        out["loss"].backward()
        found.append([out["loss"].detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_computes_elsewhere_what_it_computes_here(file):
    found = []
    with elsewhere.device() as there:
        for device in ("cpu", there):
            objective, model, batch = sample(file)
            model = linear_cross_entropy.fuse(model).to(device)
            torch.manual_seed(3)
            out = objective(model, placed(model, batch))
            assert out["loss"].device.type == torch.device(device).type
            out["loss"].backward()
            found.append([out["loss"].detach().cpu(), *(p.grad.cpu() for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
