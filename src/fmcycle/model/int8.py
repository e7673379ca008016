"""Linear layers in 8-bit integers on the CPU: weights on a grid that bf16 holds exactly, inputs quantised at run time.

A compressed folder stays a transformers folder: its matrices are rounded to integer multiples, -127 to 127, of a power of two for each
row, which bf16 stores exactly. Loaded by transformers it computes in floats with these weights; loaded by `model_store.load_model`
its layers multiply integers.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError

FILE = "quantization.json"
SCHEME = {"linear": "int8, a power-of-two scale a row; inputs int8, a scale a token"}


def scales(weight: Tensor) -> Tensor:
    """Return powers of two (rows, 1); every weight of a row lies within 127 times its power."""
    largest = weight.abs().amax(1, keepdim=True).double().clamp_min(1e-30)
    return torch.exp2(torch.ceil(torch.log2(largest / 127))).to(weight.dtype)


def on_grid(weight: Tensor) -> Tensor:
    """Return `weight` (rows, columns) rounded to its grid; the operation is idempotent."""
    scale = scales(weight)
    return torch.round(weight / scale).clamp_(-127, 127) * scale


class Linear(nn.Module):
    """x @ weight.T + bias in integers: each input token has its own scale, so a row's result does not depend on its batch.

    Source: Dettmers et al., LLM.int8() (2022), section 2.1, vector-wise quantisation without the outlier part.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear):
        super().__init__()
        scale = scales(linear.weight.detach())
        self.register_buffer("weight", torch.round(linear.weight.detach() / scale).to(torch.int8))  # (out, in)
        self.register_buffer("scale", scale.squeeze(1))
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        product = torch._int_mm(torch.round(rows / scale).to(torch.int8), self.weight.t())
        out = product * scale * self.scale
        return (out if self.bias is None else out + self.bias).view(*x.shape[:-1], self.out_features)


def round_weights(model):
    """Round the matrices of every Linear and Embedding to their grid, in bf16; keep all other weights."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.data = on_grid(module.weight.detach().float()).bfloat16()
    return model


def run_in_integers(model):
    """Replace every Linear of a model with weights on the grid by integer products; inference only, on the CPU only."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, Linear(module))
    return model


def compressed(folder: str | Path) -> bool:
    """True if `compress=int8` wrote this model folder. Raises InputError for another quantization scheme."""
    file = Path(folder) / FILE
    if not file.is_file():
        return False
    if artifact.read_json(file) != SCHEME:
        raise InputError(f"{file}: another scheme than {SCHEME}; compress the model again with `fmcycle compress compress=int8`")
    return True
