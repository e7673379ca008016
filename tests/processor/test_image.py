import io

import numpy as np
import pytest
from PIL import Image

from fmcycle.processor.bpe import bpe
from fmcycle.processor.chat import render
from fmcycle.processor.image import caption, conversation, image, levels, pixels
from fmcycle.processor.multimodal import clip, llava


def png(array):
    out = io.BytesIO()
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


INK = np.arange(64).reshape(8, 8) % 17  # a digit's levels
DIGIT = {"media": png(np.round(INK * 255 / 16)), "text": "seven", "id": "digits/0007"}
FOX = {"media": png(np.full((12, 10, 3), (255, 128, 0))), "text": "fox: animal, nature, face", "id": "emoji/1F98A"}
TEXTS = ["fox: animal, nature, face", "owl: animal, bird, night"] * 4


def test_pixels_lie_between_minus_one_and_one_in_the_processors_size():
    values = pixels(DIGIT, image([], size=8, channels=1))["pixel_values"]
    assert values.shape == (1, 8, 8) and values.dtype == np.float32
    assert np.allclose(values[0], INK / 8 - 1, atol=0.01)
    coloured = pixels(FOX, image([], size=16))["pixel_values"]
    assert coloured.shape == (3, 16, 16) and np.allclose(coloured[:, 0, 0], [1, 0.004, -1], atol=0.01)
    assert pixels(DIGIT, image([], size=8))["pixel_values"].shape == (3, 8, 8)  # grey becomes colour


def test_levels_are_the_digits_own_in_raster_order():
    ids = levels(DIGIT, image([], size=8, channels=1), count=17)["input_ids"]
    assert ids == [17, *INK.ravel().tolist()]
    coloured = levels(FOX, image([], size=4), count=3)["input_ids"]
    assert coloured == [3, *[2, 1, 0] * 16]  # red, green, blue of each pixel


def test_what_is_no_picture_says_so():
    for row, message in (
        ({"media": DIGIT["media"][:60]}, "damaged"),
        ({"text": "no bytes"}, "column media is missing"),
        ({"media": b"x"}, "not a readable image"),
    ):
        with pytest.raises(ValueError, match=message):
            pixels(row, image([], size=8))
    with pytest.raises(ValueError, match="no image processor"):
        pixels(DIGIT, bpe(TEXTS, vocab_size=300))
    with pytest.raises(ValueError, match="no tokenizer"):
        caption(DIGIT, image([], size=8))


def test_a_caption_ends_with_the_end_of_text_and_may_be_the_name_alone():
    processor = clip(TEXTS, size=16, vocab_size=300)
    row = caption(FOX, processor)
    assert row["pixel_values"].shape == (3, 16, 16)
    assert processor.tokenizer.decode(row["input_ids"]) == FOX["text"] + "<|endoftext|>"
    assert processor.tokenizer.decode(caption(FOX, processor, until=":")["input_ids"]) == "fox<|endoftext|>"
    assert caption(FOX | {"text": ""}, processor) is None


def test_a_conversation_about_a_picture_begins_as_the_prompt_that_is_served():
    processor = llava(TEXTS, size=16, patch_size=8, vocab_size=300)
    row = conversation(FOX, processor, question="What is it?", until=":")
    assert row["input_ids"].count(processor.image_token_id) == 4
    answer = [label for label in row["labels"] if label != -100]
    assert processor.tokenizer.decode(answer) == "fox<|end|>"
    prompt = render(processor, [{"role": "user", "content": "What is it?", "images": 1}], generation_prompt=True)
    assert row["input_ids"][: len(prompt)] == prompt and row["labels"][: len(prompt)] == [-100] * len(prompt)
    assert processor.image_token_id not in conversation(FOX, processor, question="<image>")["input_ids"][6:]
