"""Adds up an objective's sums: over an optimizer step's accumulation window in training, over the rows in validation."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric


def names_of(out: dict) -> list[str]:
    """Return the names of the sums that an objective returned: count, loss, then the others sorted."""
    return ["count", "loss", *sorted(set(out) - {"count", "loss"})]


def sums(out: dict, device) -> Tensor:
    """Return an objective's sums in the order of `names_of`: (n,) float64 on `device`, without a device-to-host copy."""
    values = [out[name] for name in names_of(out)]
    return torch.stack(
        [v.detach().double() if isinstance(v, Tensor) else torch.full((), v, dtype=torch.float64, device=device) for v in values]
    )


def digest(rows: Tensor) -> Tensor:
    """Return a number below 2**53 for the set of row indices (n,); it does not depend on their order or the number of devices."""
    mixed = (rows + 1) * 0x9E3779B1 & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x85EBCA6B) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 13)).double().sum()  # whole numbers: exact up to 2**21 rows a step


class Tally:
    """The sums of an accumulation window; they stay on the device until `read`, once a step."""

    def __init__(self):
        self.names: list[str] = []
        self.total: Tensor | None = None

    def add(self, out: dict, rows: Tensor | None, device) -> None:
        """Add a micro-batch: the objective's sums, and the digest of its row indices."""
        self.names = names_of(out)
        here = digest(rows) if rows is not None else torch.zeros((), dtype=torch.float64, device=device)
        values = torch.cat([sums(out, device), here[None]])
        self.total = values if self.total is None else self.total + values

    def read(self, reduce: Callable, norm: Tensor, stop: bool) -> dict[str, float]:
        """Return {name: sum over the window and all ranks} with `rows`, `stop` and `norm` (equal on every rank); begin a new window.

        reduce: (tensor) -> its sum over the ranks. Here the host waits for the device, once a step.
        """
        assert self.total is not None
        total = reduce(torch.cat([self.total, torch.full((1,), float(stop), dtype=torch.float64, device=self.total.device)]))
        self.total = None
        values = torch.cat([total, norm.detach().double().reshape(1).to(total.device)]).tolist()
        return dict(zip([*self.names, "rows", "stop", "norm"], values, strict=True))


class Means(Metric):
    """Each sum of an objective divided by its count, over all ranks."""

    full_state_update = False
    total: Tensor

    def __init__(self, names: list[str]):
        super().__init__()
        self.names = names
        self.add_state("total", torch.zeros(len(names), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, out: dict) -> None:
        """Add the sums of a batch."""
        self.total = self.total + sums(out, self.total.device)

    def compute(self) -> dict[str, float]:
        """Return {name: sum / count} of all sums but the count."""
        count, *values = self.total.tolist()
        return {name: value / max(count, 1) for name, value in zip(self.names[1:], values, strict=True)}
