"""Pictures as numbers: an image processor, and the formats of rows with `media` that hold one."""

import numpy as np

from fmcycle.processor import media
from fmcycle.processor.chat import labelled
from fmcycle.processor.components import image_processor_of, tokenizer_of
from fmcycle.processor.text import ids_of, said
from fmcycle.ranges import PositiveInt


def image(texts, *, size: PositiveInt = 32, channels: PositiveInt = 3):
    """An image processor for `channels` (3 colour, 1 grey): pictures of `size` x `size`, values in [-1, 1]. Texts play no part."""
    from transformers import ViTImageProcessorPil

    half = [0.5] * channels
    return ViTImageProcessorPil(size={"height": size, "width": size}, image_mean=half, image_std=half)


def pixels(row: dict, processor) -> dict:
    """A row with `media` as {"pixel_values": (C, H, W) float32}. Raises ValueError for bytes that are no picture."""
    part = image_processor_of(processor)
    if part is None:
        raise ValueError("a picture, and the processor has no part for pictures: choose processor=image or another that has one")
    if not isinstance(row.get("media"), bytes):
        raise ValueError("no picture in it: it has no column media; data.path must be a table of examples")
    picture = media.picture(row["media"], media.channels_of(part))
    values = np.asarray(part(images=[picture], return_tensors="np")["pixel_values"][0], dtype=np.float32)
    return {"pixel_values": values}


def levels(row: dict, processor, *, count: PositiveInt = 16) -> dict[str, list[int]]:
    """A picture as {"input_ids"}: `count` (it begins every picture), then the level, 0 to count - 1, of each pixel in raster order.

    The channels of a pixel stand side by side. A model over it has count + 1 tokens and C * H * W + 1 positions.
    Source: Chen et al., Image GPT (2020), with even levels instead of a palette.
    """
    part = image_processor_of(processor)
    values = pixels(row, processor)["pixel_values"]
    mean, spread = (np.asarray(each, dtype=np.float32)[:, None, None] for each in (part.image_mean, part.image_std))
    place = np.clip(np.round((values * spread + mean) * (count - 1)), 0, count - 1).astype(int)
    return {"input_ids": [count, *place.transpose(1, 2, 0).ravel().tolist()]}


def caption(row: dict, processor, *, until: str | None = None) -> dict | None:
    """A picture and its text as {"pixel_values", "input_ids"}; None for one without a text, which is left out.

    until: only what stands before this in the text, ":" for the name alone of "fox: animal, nature".
    """
    text = said(row, until)
    return {**pixels(row, processor), "input_ids": ids_of(processor, text)} if text else None


def conversation(row: dict, processor, *, question: str = "What is this?", answer: str = "text", until: str | None = None) -> dict | None:
    """A picture, a question and the answer in the column `answer`: {"pixel_values", "input_ids", "labels"}, labels on the answer only.

    The picture's tokens stand before the question. until: as in `caption`. None for one without an answer.
    """
    text = said(row, until, answer)
    if not text:
        return None
    if tokenizer_of(processor) is None:
        raise ValueError("a question about a picture, and the processor has no tokenizer: choose processor=llava")
    turns: list[dict] = [{"role": "user", "content": question, "images": 1}, {"role": "assistant", "content": text}]
    ids, labels = labelled(processor, turns)
    return {**pixels(row, processor), "input_ids": ids, "labels": labels}


def example() -> dict:
    """A picture with its name, and a processor of pictures in conversations."""
    from fmcycle.config.example import processor
    from fmcycle.processor.multimodal import llava

    picture = media.as_png(np.linspace(-1, 1, 192).reshape(3, 8, 8))
    row = processor()["row"] | {"text": "fox: animal, nature", "media": picture}
    return {"row": row, "processor": llava(processor()["texts"], size=8, patch_size=4, channels=1, vocab_size=300)}
