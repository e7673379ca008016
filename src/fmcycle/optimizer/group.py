"""Parameter groups for optimizers: matrices, embeddings, vectors."""

from torch import nn

from fmcycle.kernels.linear_cross_entropy import head_of


def split(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return trainable parameters by kind: "matrix" (2-D and up, in the body), "embedding" (input and output), "vector" (norms, biases)."""
    embeddings = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    head = head_of(model)
    embeddings |= {id(p) for p in head.parameters()} if head is not None else set()
    groups: dict[str, list[nn.Parameter]] = {"matrix": [], "embedding": [], "vector": []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            kind = "embedding" if id(parameter) in embeddings else "matrix" if parameter.ndim >= 2 else "vector"
            groups[kind].append(parameter)
    return groups
