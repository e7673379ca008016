"""Masked autoencoding: reconstruct masked image patches."""

from dataclasses import dataclass


@dataclass
class MaskedPatch:
    """Mean squared error of a ViTMAEForPreTraining over the masked patches of `pixel_values` (B, C, H, W); the count is over images.

    The model's `mask_ratio` is the share of masked patches. Source: He et al., Masked Autoencoders (2022).
    """

    def __call__(self, model, batch):
        count = len(batch["pixel_values"])
        return {"loss": model(pixel_values=batch["pixel_values"]).loss * count, "count": count}


def example() -> dict:
    """Return a masked autoencoder with grey images of 16 patches."""
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    from fmcycle.config.example import SIZES, pictures

    sizes = SIZES | {f"decoder_{name}": number // 2 for name, number in SIZES.items()}
    model = ViTMAEForPreTraining(ViTMAEConfig(image_size=8, patch_size=2, num_channels=1, **sizes))
    return {"model": model, "batch": {"pixel_values": pictures()}}
