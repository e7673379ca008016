"""Images as numbers: an image processor, and the formats of rows whose `media` is an image."""

import numpy as np

from fmcycle.processor import media
from fmcycle.processor.chat import labelled
from fmcycle.processor.components import image_processor_of, tokenizer_of
from fmcycle.processor.text import ids_of, said
from fmcycle.ranges import PositiveInt


def image(texts, *, size: PositiveInt = 32, channels: PositiveInt = 3):
    """Return an image processor: `size` x `size` pixels of `channels` (3 colour, 1 grey), values in [-1, 1]. `texts` are not used."""
    from transformers import ViTImageProcessorPil

    half = [0.5] * channels
    return ViTImageProcessorPil(size={"height": size, "width": size}, image_mean=half, image_std=half)


def pixels(row: dict, processor) -> dict:
    """Return the image in `media` as {"pixel_values": (C, H, W) float32}. Raises ValueError for bytes that are no image."""
    part = image_processor_of(processor)
    if part is None:
        raise ValueError("has an image, but the processor has no image processor: choose processor=image or another that has one")
    if not isinstance(row.get("media"), bytes):
        raise ValueError("no image in it: its column media is missing or empty; data.path must be a table of examples")
    picture = media.picture(row["media"], media.channels_of(part))
    values = np.asarray(part(images=[picture], return_tensors="np")["pixel_values"][0], dtype=np.float32)
    return {"pixel_values": values}


def levels(row: dict, processor, *, count: PositiveInt = 16) -> dict[str, list[int]]:
    """Return an image as {"input_ids"}: a start token `count`, then the level, 0 to count - 1, of each pixel in raster order.

    The channels of a pixel are adjacent. A model of such rows has count + 1 tokens and C * H * W + 1 positions.
    Source: Chen et al., Image GPT (2020), with even levels instead of a palette.
    """
    part = image_processor_of(processor)
    values = pixels(row, processor)["pixel_values"]
    mean, spread = (np.asarray(each, dtype=np.float32)[:, None, None] for each in (part.image_mean, part.image_std))
    place = np.clip(np.round((values * spread + mean) * (count - 1)), 0, count - 1).astype(int)
    return {"input_ids": [count, *place.transpose(1, 2, 0).ravel().tolist()]}


def caption(row: dict, processor, *, until: str | None = None) -> dict | None:
    """Return an image and its text as {"pixel_values", "input_ids"}; None, which leaves the row out, if it has no text.

    until: cuts the text before this string; ":" keeps the name of "fox: animal, nature".
    """
    text = said(row, until)
    return {**pixels(row, processor), "input_ids": ids_of(processor, text)} if text else None


def conversation(row: dict, processor, *, question: str = "What is this?", answer: str = "text", until: str | None = None) -> dict | None:
    """Return an image, `question` and the text of column `answer`: {"pixel_values", "input_ids", "labels"}, labels on the answer only.

    The image's tokens come before the question. until: as in `caption`. None for a row without an answer.
    """
    text = said(row, until, answer)
    if not text:
        return None
    if tokenizer_of(processor) is None:
        raise ValueError("a question about an image needs a tokenizer, which the processor lacks: choose processor=llava")
    turns: list[dict] = [{"role": "user", "content": question, "images": 1}, {"role": "assistant", "content": text}]
    ids, labels = labelled(processor, turns)
    return {**pixels(row, processor), "input_ids": ids, "labels": labels}


def example() -> dict:
    """Return an image with its name, and a processor for images in conversations."""
    from fmcycle.config.example import processor
    from fmcycle.processor.multimodal import llava

    picture = media.as_png(np.linspace(-1, 1, 192).reshape(3, 8, 8))
    row = processor()["row"] | {"text": "fox: animal, nature", "media": picture}
    return {"row": row, "processor": llava(processor()["texts"], size=8, patch_size=4, channels=1, vocab_size=300)}
