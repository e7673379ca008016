"""Diffusion: predict the noise in images."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from fmcycle.ranges import Fraction

WHOLE = 2**31
CONDITIONS = ("labels", "input_ids")


@dataclass
class Denoising:
    """Mean squared error of the prediction for `pixel_values` (B, C, H, W) noised to a random step; the count is over images.

    The scheduler's `prediction_type` is the target: epsilon, v_prediction or sample. drop: share of rows trained without their condition
    (`labels` or `input_ids`), which classifier-free guidance needs. Source: Ho et al., DDPM (2020), eq. 14; Ho and Salimans (2022).
    """

    drop: Fraction = 0.1

    def __call__(self, model, batch):
        clean, schedule = batch["pixel_values"], model.scheduler
        noise = torch.randn_like(clean)
        steps = torch.randint(schedule.config.num_train_timesteps, (len(clean),), device=clean.device)
        target = {"epsilon": noise, "sample": clean}.get(schedule.config.prediction_type)
        if target is None:
            target = schedule.get_velocity(clean, noise, steps)
        condition = {name: batch[name] for name in CONDITIONS if name in batch and wants(model, name)}
        dropped = torch.randint(WHOLE, (len(clean),), device=clean.device) < self.drop * WHOLE
        for name, nothing in model.nothing(condition).items():
            condition[name] = torch.where(dropped.view(-1, *[1] * (nothing.ndim - 1)), nothing, condition[name])
        predicted = model(schedule.add_noise(clean, noise, steps), steps, **condition)
        return {"loss": F.mse_loss(predicted.float(), target.float(), reduction="sum") / clean[0].numel(), "count": len(clean)}


def wants(model, name: str) -> bool:
    """True if `name` conditions the model."""
    return (model.text_encoder is not None) if name == "input_ids" else (model.text_encoder is None and model.classes is not None)


def example() -> dict:
    """Return a class-conditional diffusion model with images of three classes."""
    import diffusers

    from fmcycle.config.example import pictures
    from fmcycle.model.diffusion import Diffusion

    sizes: dict[str, Any] = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "layers_per_block": 1, "num_class_embeds": 4}
    sizes |= {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "block_out_channels": [8], "norm_num_groups": 4}
    unet: Any = diffusers.UNet2DModel(**sizes)
    return {"model": Diffusion(unet, diffusers.DDPMScheduler()), "batch": {"pixel_values": pictures(), "labels": torch.arange(8) % 3}}
