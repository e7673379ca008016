"""Muon for the matrices of the body, AdamW for the embeddings and vectors."""

from collections import defaultdict

import torch
from torch import nn
from torch.optim.adamw import adamw as adamw_step

from fmcycle.optimizer.group import split
from fmcycle.ranges import Fraction, NonNegativeFloat, PositiveFloat

POLYNOMIALS = (  # a x + b x^3 + c x^5, one for each step, each optimal after those before: table 1 of the source of `orthogonal`
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
)


def muon(
    model: nn.Module,
    *,
    lr: PositiveFloat = 0.01,
    momentum: Fraction = 0.95,
    weight_decay: NonNegativeFloat = 0.1,
    embedding_lr: PositiveFloat = 0.01,
    vector_lr: PositiveFloat = 0.003,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.95,
    eps: PositiveFloat = 1e-8,
) -> torch.optim.Optimizer:
    """Return Muon with `lr` for the body's matrices (experts included), AdamW with the other rates for the rest; only matrices decay.

    `lr` is the root mean square of a square matrix's update times the square root of its width (Jordan's scale).
    Sources: Jordan et al., Muon (2024); Liu et al., Muon is scalable for LLM training (2025) for the decay.
    """
    kinds = split(model)
    adam = {"matrix": False, "betas": (beta1, beta2), "eps": eps, "weight_decay": 0.0}
    groups = [
        {
            "params": kinds["matrix"],
            "matrix": True,
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
        },
        {"params": kinds["embedding"], "lr": embedding_lr, **adam},
        {"params": kinds["vector"], "lr": vector_lr, **adam},
    ]
    return Muon([group for group in groups if group["params"]])


class Muon(torch.optim.Optimizer):
    """Updates groups with `matrix` by orthogonalised momentum, the others by fused AdamW."""

    def __init__(self, groups: list[dict]):
        super().__init__(groups, defaults={})

    @torch.no_grad()
    def step(self, closure=None):
        """Update the parameters once; return the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            (self._matrices if group["matrix"] else self._others)(group, parameters)
        return loss

    def _matrices(self, group: dict, parameters: list) -> None:
        same_shape = defaultdict(list)  # matrices of one shape share batched products, faster than many small ones
        for p in parameters:
            buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
            buffer.lerp_(p.grad, 1 - group["momentum"])
            same_shape[p.shape].append((p, torch.lerp(p.grad, buffer, group["momentum"])))
        for shape, pairs in same_shape.items():
            matrices = torch.stack([update for _, update in pairs]).view(-1, *shape[-2:])  # each expert is a matrix
            updates = orthogonal_in_shards(matrices).view(-1, *shape)
            scale = max(1.0, shape[-2] / shape[-1]) ** 0.5
            for (p, _), update in zip(pairs, updates, strict=True):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * scale)

    def _others(self, group: dict, parameters: list) -> None:
        states = [self.state[p] for p in parameters]
        for p, state in zip(parameters, states, strict=True):
            if not state:
                state.update(
                    step=torch.zeros((), dtype=torch.float32, device=p.device), mean=torch.zeros_like(p), square=torch.zeros_like(p)
                )
        adamw_step(
            parameters,
            [p.grad for p in parameters],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonal_in_shards(matrices: torch.Tensor) -> torch.Tensor:
    """Apply `orthogonal` to matrices (n, rows, columns) sharded by rows: gather whole matrices, n / devices on each, and shard again.

    Products of sharded matrices would need two reductions over the devices for each polynomial; this exchanges twice in all, and gives
    the bits of one device. Source of the idea: Liu et al., Muon is scalable for LLM training (2025), section 2.3.
    """
    if not hasattr(matrices, "redistribute"):
        return orthogonal(matrices)
    from torch.distributed.tensor import DTensor, Shard

    assert isinstance(matrices, DTensor)
    whole = matrices.redistribute(placements=[Shard(0)])
    made = DTensor.from_local(
        orthogonal(whole.to_local()), whole.device_mesh, whole.placements, shape=whole.shape, stride=whole.stride(), run_check=False
    )
    return made.redistribute(placements=matrices.placements)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Return matrices (n, rows, columns) with singular values brought near 1 by odd quintic polynomials, in their own precision.

    It does not cast to bfloat16 as others do: CPUs emulate it slowly, and on a GPU fp32 products are TF32 in mixed precision
    (`TrainerConfig.products`). Four of these steps reach as far as five of
    Jordan's. Source: Amsel et al., The Polar Express (2025), algorithm 1 with its safety factor.
    """
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-7)
    for a, b, c in POLYNOMIALS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
