"""What a batch holds for a transformers model's forward."""

from typing import Any

INPUTS = ("input_ids", "attention_mask", "pixel_values", "input_features", "input_values")


def given(model: Any, batch: dict) -> dict:
    """The model's inputs in `batch`; padded tokens get a mask, which models that see both sides need."""
    found = {name: batch[name] for name in INPUTS if name in batch}
    pad = getattr(model.config, "pad_token_id", None)
    if "input_ids" in found and "attention_mask" not in found and pad is not None:
        found["attention_mask"] = (found["input_ids"] != pad).long()
    return found
