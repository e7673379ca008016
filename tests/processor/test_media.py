"""Pictures and sound as values: what comes back is what was put in, and what is damaged says so."""

import io

import numpy as np
import pytest
from PIL import Image

from fmcycle.processor import media


def png(image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_comes_back_as_it_was(channels):
    values = np.random.default_rng(0).uniform(-1, 1, (channels, 5, 7))
    image = media.picture(media.as_png(values), channels)
    found = np.asarray(image, float).reshape(5, 7, channels).transpose(2, 0, 1) / 127.5 - 1
    assert image.mode == ("L" if channels == 1 else "RGB") and np.abs(found - values).max() < 1 / 127


def test_what_is_transparent_lies_on_white():
    assert media.picture(png(Image.new("RGBA", (2, 2), (0, 0, 0, 0)))).getpixel((0, 0)) == (255, 255, 255)
    assert media.picture(png(Image.new("LA", (2, 2), (0, 255))), 1).getpixel((0, 0)) == 0


WHOLE = media.as_png(np.zeros((3, 40, 40)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no picture"),
        (b"GIF8 and more", "picture"),
        (WHOLE[: len(WHOLE) // 2], "damaged"),
        (WHOLE[:50] + b"XXXX" + WHOLE[54:], "damaged"),
        (png(Image.new("I;16", (2, 2))), "mode I;16"),
        (png(Image.new("L", (5000, 5000))), "5000 x 5000"),
    ],
)
def test_what_is_no_picture_says_why(content, why):
    with pytest.raises(ValueError, match=why):
        media.picture(content)


def test_a_sound_comes_back_as_it_was_and_twice_the_rate_is_the_same_tone():
    time = np.arange(800) / 8000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    found, rate = media.sound(media.as_wav(tone, 8000))
    assert rate == 8000 and found.dtype == np.float32 and np.abs(found - tone).max() < 1e-4
    finer, rate = media.sound(media.as_wav(tone, 8000), 16000)
    assert rate == 16000 and len(finer) == 1600 and np.abs(finer[::2] - tone).max() < 1e-3
    assert np.abs(media.resampled(media.resampled(tone, 8000, 16000), 16000, 8000) - tone).max() < 1e-9


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_every_width_are_read(width):
    levels = np.array([0.5, -0.25, 0.0])
    whole = np.round(levels * 2 ** (8 * width - 1)).astype(np.int64) + (128 if width == 1 else 0)
    data = b"".join(int(value).to_bytes(width, "little", signed=width > 1) for value in whole)
    assert np.abs(media.decoded(data, width) - levels).max() < 1e-9


def test_what_is_no_sound_says_why():
    good = media.as_wav(np.zeros(100), 8000)
    for content, why in (
        (b"", "WAV"),
        (b"RIFF", "WAV"),
        (good[:20], "WAV"),
        (good[:-50], "cut short"),
        (media.as_wav(np.zeros(0), 8000), "without"),
    ):
        with pytest.raises(ValueError, match=why):
            media.sound(content)


def test_hours_in_a_few_bytes_are_refused_before_they_are_made():
    with pytest.raises(ValueError, match=r"a sound of 100000\.0 s; at most 3600 s"):
        media.sound(media.as_wav(np.zeros(100_000), 1), 16000)
