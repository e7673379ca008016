"""Turns the texts, images and sounds of a request into tensors, with the parts of the model's own processor."""

from typing import Any

import numpy as np
import torch

from fmcycle.errors import InputError
from fmcycle.processor import audio, components, media


def positions(model: Any, tokenizer: Any) -> int:
    """Return how many tokens of text the model reads at once; 512 if neither its config nor its tokenizer says."""
    config = model.config.get_text_config()
    said = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    return min([size for size in (*said, tokenizer.model_max_length) if size and size < 1 << 24], default=512)


def texts(model: Any, processor: Any, items: list[str]) -> tuple[dict[str, torch.Tensor], int]:
    """Return ({"input_ids", "attention_mask"}, (B, T) each; the number of tokens). Special tokens inside a text are plain text.

    Raises InputError for a text with more tokens than the model reads.
    """
    tokenizer = components.tokenizer_of(processor)
    limit, rows = positions(model, tokenizer), []
    for text in items:
        rows.append(tokenizer(text, split_special_tokens=True)["input_ids"])
        if len(rows[-1]) > limit:  # before the next text is tokenized: a request may hold 1 MB of texts
            raise InputError(f"a text has {len(rows[-1])} tokens and this model reads {limit}: shorten it")
    padding, longest = components.pad(processor), max(map(len, rows))
    ids = torch.tensor([row + [padding] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}, sum(map(len, rows))


def pictures(processor: Any, items: list[bytes]) -> dict[str, torch.Tensor]:
    """Return {"pixel_values": (B, C, H, W)}. Raises InputError for bytes that are not a readable image."""
    prepare = components.image_processor_of(processor)
    try:
        images = [media.picture(item, media.channels_of(prepare)) for item in items]
    except ValueError as error:
        raise InputError(str(error)) from None
    return dict(prepare(images, return_tensors="pt"))


def sounds(processor: Any, items: list[bytes]) -> dict[str, torch.Tensor]:
    """Return the features of audio files under the feature extractor's names. Raises InputError for one that is unreadable or too long."""
    extract = components.feature_extractor_of(processor)
    limit = audio.longest(extract)
    longest = limit / extract.sampling_rate if limit else media.SECONDS
    try:
        waves = [media.sound(item, extract.sampling_rate, longest=longest)[0] for item in items]
    except ValueError as error:
        raise InputError(str(error)) from None
    waves = [np.pad(each, (0, max(0, audio.WINDOW - len(each)))) for each in waves]  # one frame at least
    return dict(extract(waves, sampling_rate=extract.sampling_rate, return_tensors="pt"))
