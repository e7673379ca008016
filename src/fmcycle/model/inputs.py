"""Batches: slicing rows, picking the arguments of a transformers forward, moving to the model's device."""

from collections.abc import Iterator
from typing import Any

INPUTS = ("input_ids", "attention_mask", "pixel_values", "input_features", "input_values")


def batched(rows: Any, size: int) -> Iterator[Any]:
    """Yield slices of at most `size` of `rows` (a list, an array, a tensor), in their order."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def given(model: Any, batch: dict) -> dict:
    """Return the forward arguments in `batch`, with an attention mask over padding, which bidirectional models need."""
    found = {name: batch[name] for name in INPUTS if name in batch}
    pad = getattr(model.config, "pad_token_id", None)
    if "input_ids" in found and "attention_mask" not in found and pad is not None:
        found["attention_mask"] = (found["input_ids"] != pad).long()
    return found


def placed(model: Any, batch: Any) -> Any:
    """Return `batch` (a tensor, or dicts of them) on the device of `model`, floating tensors in its dtype, if it has these attributes."""
    if isinstance(batch, dict):
        return {name: placed(model, value) for name, value in batch.items()}
    kind = getattr(model, "dtype", None) if batch.is_floating_point() else None
    return batch.to(device=getattr(model, "device", None), dtype=kind)
