"""8-bit layers: a grid that bf16 holds, rounding once, and rows that do not see their batch."""

import pytest
import torch

from fmcycle.model import int8


@pytest.fixture
def linear() -> torch.nn.Linear:
    torch.manual_seed(0)
    made = torch.nn.Linear(96, 40)
    made.weight.data *= torch.logspace(-6, 3, 40)[:, None]
    return made


def test_the_grid_is_reached_once_and_bf16_holds_it(linear):
    grid = int8.on_grid(linear.weight.detach())
    assert torch.equal(int8.on_grid(grid), grid)
    assert torch.equal(grid.bfloat16().float(), grid)
    assert ((grid - linear.weight).abs() <= int8.scales(linear.weight.detach()) / 2 + 1e-12).all()


def test_a_row_of_zeros_stays_zero():
    assert torch.equal(int8.on_grid(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_integer_layer_is_near_the_float_layer_and_ignores_the_batch(linear):
    linear.weight.data = int8.on_grid(linear.weight.detach())
    x = torch.randn(7, 5, 96)
    found, wanted = int8.Linear(linear)(x), linear(x)
    assert ((found - wanted).abs().amax((0, 1)) <= 0.05 * wanted.abs().amax((0, 1))).all()
    assert torch.equal(int8.Linear(linear)(x[2:3, 1:2])[0, 0], found[2, 1])
