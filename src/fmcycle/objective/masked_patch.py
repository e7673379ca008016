"""Paint what was covered: masked autoencoders of pictures."""

from dataclasses import dataclass


@dataclass
class MaskedPatch:
    """Mean squared error of a ViTMAEForPreTraining over the patches of `pixel_values` (B, C, H, W) that it covered; the count is pictures.

    How many are covered is the model's `mask_ratio`. Source: He et al., Masked Autoencoders (2022).
    """

    def __call__(self, model, batch):
        count = len(batch["pixel_values"])
        return {"loss": model(pixel_values=batch["pixel_values"]).loss * count, "count": count}


def example() -> dict:
    """Grey pictures of 16 patches."""
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    from fmcycle.config.example import SIZES, pictures

    sizes = SIZES | {f"decoder_{name}": number // 2 for name, number in SIZES.items()}
    model = ViTMAEForPreTraining(ViTMAEConfig(image_size=8, patch_size=2, num_channels=1, **sizes))
    return {"model": model, "batch": {"pixel_values": pictures()}}
