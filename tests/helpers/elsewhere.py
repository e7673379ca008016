"""A second device with real values: what a GPU refuses is refused there, so that a forgotten `.to` is seen on any machine.

Its tensors hold a CPU tensor each. An operation runs on those, and is refused where a tensor of the CPU is among them (a number, 0
dimensions, may be; so may an index). What is made with `device="elsewhere"` lies there; `.numpy()` fails there, as on a GPU.
"""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "elsewhere"
ATEN = torch.ops.aten
HALF = ("linear", "matmul", "mm", "addmm", "bmm", "baddbmm", "conv2d", "scaled_dot_product_attention")  # what autocast casts for
EVERY, PRODUCTS = (torch.library.Library(name, "IMPL", "AutocastPrivateUse1") for name in ("_", "aten"))
BY_ITEM = (torch.Tensor.__getitem__, torch.Tensor.__setitem__)
FROM_DATA = (torch.tensor, torch.as_tensor, torch.asarray)
BY_PLACES = (ATEN.index, ATEN.index_put, ATEN.index_put_, ATEN._index_put_impl_, ATEN._unsafe_index)  # a GPU takes places of the CPU


class Hook(torch._C._acc.PrivateUse1Hooks):
    """Nobody who looks for an accelerator finds this one."""

    def is_available(self) -> bool:
        return False

    def is_built(self) -> bool:
        return False

    def has_primary_context(self, index) -> bool:
        return True


class Backend(backend_registration._DummyBackendModule):
    """What `torch.elsewhere` is."""

    def is_available(self) -> bool:
        return False

    def get_amp_supported_dtype(self) -> list:
        return [torch.bfloat16]


@functools.cache
def _known() -> None:
    """Tell torch of the device, when it is used first: it stays known as long as the process runs."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, Backend(), Hook())
    EVERY.fallback(torch.library.fallthrough_kernel)
    for name in HALF:
        PRODUCTS.impl(name, _in_half(name))


def _in_half(name: str):
    """A product of matrices under autocast: fp32 becomes the type that is asked for."""
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def kernel(*args, **kwargs):
        kind = torch.get_autocast_dtype(NAME)
        with torch._C._ExcludeDispatchKeyGuard(key):
            cast = tree_map(lambda x: x.to(kind) if isinstance(x, torch.Tensor) and x.dtype == torch.float32 else x, (args, kwargs))
            return getattr(ATEN, name)(*cast[0], **cast[1])

    return kernel


class Far(torch.Tensor):
    """A tensor elsewhere; `inner` is what it holds."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device(NAME, 0),
            requires_grad=inner.requires_grad,
        )

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self, **_) -> str:
        return f"{self.inner.detach()!r} {NAME}"

    def __format__(self, form: str) -> str:
        return format(self.inner.detach(), form)

    def tolist(self) -> list:
        return self.inner.tolist()

    def numpy(self, **_):
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() first")

    def __array__(self, *_, **__):
        return self.numpy()

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


def dispatched(func, args: tuple, kwargs: dict):
    """The result of an operation, on the device where it belongs."""
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    far = [leaf for leaf in given if isinstance(leaf, Far)]
    if far or any(isinstance(leaf, torch.device) and is_there(leaf) for leaf in tree_leaves((args, kwargs))):
        with _Made():  # what is made of other operations is gone into, as autograd does; in inference mode nobody did it before
            if (made := func.decompose(*args, **kwargs)) is not NotImplemented:
                return made
    asked = kwargs.get("device")
    there = bool(far) if asked is None else is_there(asked)
    moves = func._overloadpacket in (ATEN._to_copy, ATEN.copy_)
    if far and not moves:
        near = [leaf for leaf in _compared(func, args, kwargs) if _is_near(leaf) and leaf.ndim]
        if near or any(_is_near(leaf) for leaf in tree_leaves(_changed(func, args, kwargs))):
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu")
    if there and kwargs.get("generator") is not None:
        raise RuntimeError(f"{func}: expected a '{NAME}' device type for generator but found '{kwargs['generator'].device}'")
    if there and asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    known = {id(leaf.inner): leaf for leaf in far}  # what is changed in place comes back as itself
    if func._overloadpacket is ATEN.copy_:
        there = isinstance(args[0], Far)
    out = func(*tree_map(held, args), **tree_map(held, kwargs))

    def wrapped(x):
        with torch.inference_mode(False):  # there a view could not be made of what was made outside
            return known[id(x)] if id(x) in known else Far(x)

    return tree_map(lambda x: wrapped(x) if there and isinstance(x, torch.Tensor) else x, out)


def is_there(place) -> bool:
    """Is this device elsewhere?"""
    return place is not None and torch.device(place).type == NAME


def held(x):
    """The CPU tensor in a tensor from elsewhere; anything else as it is."""
    return x.inner if isinstance(x, Far) else x


def _is_near(x) -> bool:
    return isinstance(x, torch.Tensor) and not isinstance(x, Far) and x.device.type == "cpu"


def _changed(func, args: tuple, kwargs: dict) -> list:
    """What the operation writes into, where not even a number may lie elsewhere."""
    written = [(place, each.name) for place, each in enumerate(func._schema.arguments) if each.alias_info and each.alias_info.is_write]
    return [args[place] if place < len(args) else kwargs.get(name) for place, name in written]


def _compared(func, args: tuple, kwargs: dict) -> list:
    """The tensors that must be on one device."""
    if func._overloadpacket in BY_PLACES:
        args = (args[0], *args[2:])
    return [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]


class _Made(TorchDispatchMode):
    """What is made elsewhere, of nothing that lies there yet."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatched(func, args, kwargs or {})


class _FromData(TorchFunctionMode):
    """What is made elsewhere of lists and arrays: no other mode is asked about it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in FROM_DATA and kwargs and is_there(kwargs.get("device")):
            return func(*args, **kwargs | {"device": "cpu"}).to(kwargs["device"])
        if func in BY_ITEM and isinstance(args[0], Far) and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]), *args[2:])
        return func(*args, **(kwargs or {}))


@contextmanager
def device() -> Iterator[torch.device]:
    """The block may use the device that it is given."""
    _known()
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # a module's parameters stay themselves, tied ones too, as on a GPU
    run = threading.Thread.run

    def run_there(thread):
        with _FromData(), _Made():  # torch keeps them for each thread
            run(thread)

    threading.Thread.run = run_there
    try:
        with torch.autograd.set_multithreading_enabled(False), _FromData(), _Made():
            yield torch.device(NAME)
    finally:
        threading.Thread.run = run
        torch.__future__.set_swap_module_params_on_conversion(before)
