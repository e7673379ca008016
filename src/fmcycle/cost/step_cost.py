"""Measures the cost of a training step without computing it: floating tensors are fake, the few integers of a batch are real.

A step of the real recipe runs on fake tensors, which have a shape and no memory; each operation is counted as it passes.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from fmcycle.cost import depth
from fmcycle.kernels import rowwise
from fmcycle.ranges import NonNegativeFloat, PositiveFloat

ATEN = torch.ops.aten
KINDS = ("matmul_flops", "matmul_bytes", "batched_flops", "attention_flops", "near_bytes", "far_bytes", "functions", "calls")
CACHED = 2**20  # bytes: an operation that touches fewer stays in a core's own cache; others wait for memory further away
LOOK_UP = {ATEN.embedding, ATEN.index, ATEN.index_select, ATEN.gather}  # they read as much as they write, not their whole inputs
MAPPED = 2**25  # bytes: glibc maps a tensor of this size separately; smaller ones share a heap and leave gaps in it
UNTOUCHED = {ATEN.empty, ATEN.new_empty, ATEN.empty_like, ATEN.empty_strided, ATEN._unsafe_view, ATEN.detach, ATEN.lift_fresh}
UNTOUCHED |= {torch.ops.prim.device}
BATCHED = {ATEN.bmm, ATEN.baddbmm}  # products of many matrices, which libraries do slower than one large one
IN_PLACE = {ATEN.addmm_: ATEN.addmm, ATEN.baddbmm_: ATEN.baddbmm}  # products that the registry knows only under the second name
WHOLE = {ATEN.arange, ATEN.randint, ATEN.randperm}
FUNCTIONS = {ATEN.exp, ATEN.exp_, ATEN.log, ATEN.tanh, ATEN.silu, ATEN.silu_backward, ATEN.gelu, ATEN.gelu_backward, ATEN.sigmoid}
FUNCTIONS |= {ATEN._softmax, ATEN._log_softmax, ATEN.cos, ATEN.sin, ATEN.pow}


@dataclass
class Price:
    """Price of one device for an hour; null: no price. A CPU counts as one device."""

    device_hour: NonNegativeFloat | None = None
    currency: str = "EUR"


@dataclass
class Limit:
    """Upper bounds of a run; null: no limit. `gigabytes`: peak memory of one device (1e9 bytes)."""

    minutes: PositiveFloat | None = None
    gigabytes: PositiveFloat | None = None
    money: PositiveFloat | None = None


@dataclass
class Cost:
    """One optimizer step of one device. Bytes of the state are exact.

    parameters, trained: numbers of weights; weights, gradients, optimizer: bytes; activations: peak bytes beside those three;
    small: of them, the peak bytes in tensors below MAPPED; largest_block: bytes of the largest block's weights, which sharding gathers.
    micro: work of one micro-batch; update: of the optimizer ({kind of KINDS: amount}).
    """

    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    small: int
    largest_block: int
    micro: dict[str, float]
    update: dict[str, float]

    @property
    def state(self) -> int:
        """Bytes of weights, gradients and optimizer."""
        return self.weights + self.gradients + self.optimizer

    @property
    def peak(self) -> int:
        """Bytes of state and activations."""
        return self.state + self.activations

    @property
    def flops(self) -> float:
        """Floating-point operations of one micro-batch, forward and backward: products of matrices, attention among them."""
        return sum(amount for kind, amount in self.micro.items() if kind.endswith("_flops"))


def step_cost(make_model: Callable, batch: dict, objective: Callable, make_optimizer: Callable, **options: Any) -> Cost:
    """Return the cost of a step on one batch; options: as of `step_costs`."""
    return step_costs(make_model, [batch], objective, make_optimizer, **options)[0]


def step_costs(
    make_model: Callable, batches: list[dict], objective: Callable, make_optimizer: Callable, *, accumulate=1, precision="32-true"
) -> list[Cost]:
    """Return for each batch (real integers) the cost of a step of `accumulate` micro-batches like it; runs one of them on fake tensors.

    make_model: () -> a new model from its config alone; objective: (model, batch) -> {"loss", ...}; make_optimizer: (model) -> Optimizer.
    A model of many equal layers runs with a few of them, because an operation on fake tensors takes 0.4 ms; `depth` extends the amounts.
    """
    with imagined(torch.bfloat16 if precision == "bf16-true" else torch.float32) as meter:
        model = make_model().train()
        blocks = max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len, default=nn.ModuleList())
        whole: dict[str, int] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "weights": _size(list(model.parameters()) + list(model.buffers())),
            "largest_block": max((_size(list(block.parameters())) for block in blocks), default=0),
        }

        def run(batch: dict) -> depth.Amounts:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                return _amounts(meter, model, batch, objective, make_optimizer)

        return [_cost(whole, depth.extended(model, partial(run, batch)), accumulate) for batch in batches]


def _amounts(meter: "Meter", model: nn.Module, batch: dict, objective: Callable, make_optimizer: Callable) -> depth.Amounts:
    """Run one step and return what it takes; its gradients are gone afterwards."""
    begin, small = meter.now, meter.small
    meter.restart()
    out = objective(model, batch)
    forward = meter.peak - begin
    meter.peak = meter.now
    out["loss"].backward()
    backward, micro = meter.peak - begin, meter.work
    small = meter.most_small - small
    del out
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    meter.restart()
    torch._foreach_mul_(gradients, 1 / torch.nn.utils.get_total_norm(gradients))
    optimizer = make_optimizer(model)
    optimizer.step()
    update, states = meter.peak - begin, [x for state in optimizer.state.values() for x in state.values() if isinstance(x, Tensor)]
    found = depth.Amounts(forward, backward, update, _size(gradients), _size(states), small, micro, meter.work)
    model.zero_grad(set_to_none=True)
    return found


def _cost(whole: dict[str, int], found: depth.Amounts, accumulate: int) -> Cost:
    size, kept = found.gradients, found.optimizer
    # gradients of the last step are alive until the forward is done, and in the backward too if micro-batches accumulate
    peak = max(found.forward + size + kept, found.backward + kept + (size if accumulate > 1 else 0), found.update)
    return Cost(
        **whole,
        gradients=size,
        optimizer=kept,
        activations=max(0, peak - size - kept),
        small=found.small,
        micro=found.micro,
        update=found.work,
    )


@contextlib.contextmanager
def imagined(dtype: torch.dtype = torch.float32) -> Iterator["Meter"]:
    """Make floating tensors fake in the block: they have no memory; operations on them are counted, not computed."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:  # Module.to would swap tensors that Meter knows by weak references; all have the right device and dtype already
        with (
            mock.patch.object(nn.Module, "to", lambda module, *_, **__: module),
            FakeTensorMode(allow_non_fake_inputs=True),
            Meter() as meter,
            mock.patch.object(rowwise, "parts", meter.parts),
        ):
            yield meter
    finally:
        torch.set_default_dtype(before)


class Meter(TorchDispatchMode):
    """`now`, `peak`: bytes of storages alive, `small`, `most_small`: of those below MAPPED; `work`: amounts of KINDS since `restart`."""

    def __init__(self):
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.peak = self.small = self.most_small = 0
        self.times = 1  # how often the operations that pass now happen
        self.restart()

    def restart(self) -> None:
        """Count work and peak from here."""
        self.work = dict.fromkeys(KINDS, 0.0)
        self.peak, self.most_small = self.now, self.small

    def parts(self, count: int, size: int = rowwise.ROWS) -> Iterator[slice]:
        """Yield the first slice of `count` rows once for all whole ones, then the rest: hundreds of equal slices would take minutes."""
        whole, rest = divmod(count, size)
        if whole:
            self.times *= whole
            yield slice(0, size)
            self.times //= whole
        if rest:
            yield slice(count - rest, count)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if not any(isinstance(x, FakeTensor) for x in given) and (given or _whole(func, kwargs)):
            with unset_fake_temporarily():  # integers of the batch: masks, positions and lengths decide shapes
                return func(*args, **kwargs)
        if func._overloadpacket is ATEN._local_scalar_dense and given[0].dtype == torch.bool:
            return False  # a check such as "if any value is wrong": none is
        if func._overloadpacket in (ATEN.index, ATEN.index_put, ATEN.index_put_, ATEN._unsafe_index):
            args = (args[0], [place for index in args[1] for place in _places(index)], *args[2:])
        out = _grouped(func, args, kwargs) if func._overloadpacket is ATEN._grouped_mm else func(*args, **kwargs)
        made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        self._count(func, args, kwargs, out, given, made)
        for x in made:
            self._track(x.untyped_storage())
        return out

    def _count(self, func, args, kwargs, out, given: list[Tensor], made: list[Tensor]) -> None:
        self._add("calls", 1)
        packet = IN_PLACE.get(func._overloadpacket, func._overloadpacket)
        if func.is_view or packet in UNTOUCHED:
            return
        size = sum(map(_bytes, made)) + sum(map(_bytes, made if packet in LOOK_UP else given))
        if "scaled_dot_product" in str(packet):
            self._add("attention_flops", _attention(args, backward="backward" in str(packet)))
        elif "packed_attention" in str(packet):
            self._add("attention_flops", _packed_attention(args, backward="backward" in str(packet)))
        elif packet in BATCHED:
            self._add("batched_flops", flop_registry[packet](*args, **kwargs, out_val=out))
        elif packet is ATEN._grouped_mm:
            self._add("matmul_flops", 2 * args[0].numel() * args[1].shape[-1])
            self._add("matmul_bytes", size)
        elif packet in flop_registry:
            self._add("matmul_flops", flop_registry[packet](*args, **kwargs, out_val=out))
            self._add("matmul_bytes", size)
        else:
            self._add("near_bytes" if size < CACHED else "far_bytes", size)
            self._add("functions", sum(x.numel() for x in made) if packet in FUNCTIONS else 0)

    def _add(self, kind: str, amount: float) -> None:
        self.work[kind] += self.times * amount

    def _track(self, storage) -> None:
        key = storage._cdata
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            self.now += self.alive[key]
            self.small += self.alive[key] * (self.alive[key] < MAPPED)
            self.peak, self.most_small = max(self.peak, self.now), max(self.most_small, self.small)
            weakref.finalize(storage, self._free, key).atexit = False  # a plan that is stopped ends without them

    def _free(self, key: int) -> None:
        size = self.alive.pop(key, 0)
        self.now -= size
        self.small -= size * (size < MAPPED)


def _grouped(func, args: tuple, kwargs: dict[str, Any]) -> Tensor:
    """Return the products of experts, each with its own rows; torch infers their shape only for bf16, and fp32 has the same."""
    return func(*(x.to(torch.bfloat16) for x in args[:2]), *args[2:], **kwargs).to(args[0].dtype)


def _whole(func, kwargs: dict[str, Any]) -> bool:
    """True if this factory makes integers."""
    dtype = kwargs.get("dtype")
    return func._overloadpacket in WHOLE if dtype is None else not dtype.is_floating_point


def _places(index) -> list:
    """Return the indices at which a real mask is true; a fake tensor can't tell how many there are."""
    if index is None or index.dtype != torch.bool or isinstance(index, FakeTensor):
        return [index]
    with unset_fake_temporarily():
        return list(index.nonzero().unbind(1))


def _attention(args: tuple, *, backward: bool) -> float:
    """Return the FLOPs of attention, half as many if causal: two products forward, five backward (Dao, 2023)."""
    query, key = args[1:3] if backward else args[:2]
    causal = next((x for x in args if isinstance(x, bool)), False)
    products = 5 if backward else 2
    return products * 2 * query.numel() * key.shape[-2] * (0.5 if causal else 1)


def _packed_attention(args: tuple, *, backward: bool) -> float:
    """Return the FLOPs of `fmcycle.kernels.varlen_attention.packed_attention`: causal attention within each document."""
    query, ends = (args[1], args[6]) if backward else (args[0], args[3])
    with unset_fake_temporarily():
        pairs = float(ends.diff().double().square().sum()) / 2
    return (5 if backward else 2) * 2 * query.shape[-2] * query.shape[-1] * pairs


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _size(tensors: list[Tensor]) -> int:
    """Return the bytes of distinct tensors; a tied weight counts once."""
    return sum(_bytes(x) for x in {id(x): x for x in tensors}.values())
