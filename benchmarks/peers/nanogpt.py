"""nanoGPT's model, optimizer and schedule in our own words: a peer to measure against. Source: karpathy/nanoGPT, model.py, train.py."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Pre-norm causal attention and a GELU MLP four times as wide, without biases."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.c_attn, self.attn_proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.c_fc, self.mlp_proj = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x_BTD):
        batch, length, width = x_BTD.shape
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x_BTD)).split(width, dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BTD = x_BTD + self.attn_proj(mixed.transpose(1, 2).reshape(batch, length, width))
        return x_BTD + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x_BTD))))


class GPT(nn.Module):
    """GPT-2 with learned positions and one matrix for input and output embedding."""

    def __init__(self, *, vocab_size: int, block_size: int, layers: int, heads: int, width: int):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab_size, width), nn.Embedding(block_size, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width, bias=False)
        self.lm_head = nn.Linear(width, vocab_size, bias=False)
        self.wte.weight = self.lm_head.weight
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if "_proj" in name else 0.02)

    def forward(self, ids_BT, targets_BT):
        """Mean cross-entropy of `targets_BT` given `ids_BT`."""
        x_BTD = self.wte(ids_BT) + self.wpe.weight[: ids_BT.size(1)]
        for block in self.blocks:
            x_BTD = block(x_BTD)
        logits = self.lm_head(self.ln_f(x_BTD))
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets_BT.reshape(-1))


def optimizer(model: nn.Module, *, lr: float, beta2: float) -> torch.optim.Optimizer:
    """Fused AdamW, betas 0.9 and `beta2`, decay 0.1 on everything of two dimensions."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, beta2), fused=True)


def rate(step: int, *, lr: float, warmup: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a tenth of `lr` at `steps`."""
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    share = min(1.0, (step - warmup) / (steps - warmup))
    return lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))
