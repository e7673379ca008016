"""Pictures and sound as values: what comes back is what was put in, and what is damaged says so."""

import io

import numpy as np
import pytest
import soundfile
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
        (b"", "not a readable image"),
        (b"GIF8 and more", "not a readable image"),
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


TIME = np.arange(48000) / 16000
TONE = 0.4 * np.sin(2 * np.pi * 220 * TIME) + 0.1 * np.sin(2 * np.pi * 531 * TIME)


def encoded(kind, subtype=None, samples=TONE, rate=16000):
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


KINDS = [("WAV", None), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_samples_of_every_width_are_read(subtype):
    levels = np.array([0.5, -0.25, 0.0])
    assert np.abs(media.sound(encoded("WAV", subtype, levels))[0] - levels).max() < 1e-2


@pytest.mark.parametrize(("kind", "subtype"), [*KINDS, ("WAV", "ULAW"), ("WAVEX", "PCM_16")])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sound_of_every_kind_is_the_tone_that_was_written(kind, subtype, channels):
    found, rate = media.sound(encoded(kind, subtype, np.stack([TONE] * channels, 1)))
    assert rate == 16000 and len(found) == len(TONE) and np.corrcoef(found, TONE)[0, 1] > 0.99


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_sound_of_every_kind_that_is_cut_is_refused(kind, subtype, share):
    whole = encoded(kind, subtype)
    with pytest.raises(ValueError, match=r"cut short|damaged sound|without sound"):
        media.sound(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("kind", ["AIFF", "AU", "CAF", "W64"])
def test_what_else_the_decoder_knows_is_not_given_to_it(kind):
    with pytest.raises(ValueError, match="not a readable audio file; supported: WAV, FLAC, OGG, MP3"):
        media.sound(encoded(kind))


def test_an_mp3_that_does_not_say_its_length_is_refused():
    whole = encoded("MP3")
    with pytest.raises(ValueError, match="ffmpeg -i OLD -c copy NEW"):
        media.sound(whole[whole.index(whole[:2], 4) :])  # without its first frame, which says it
    assert len(media.sound(b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + whole + b"TAG" + bytes(125))[0]) == len(TONE)


def test_silence_that_packs_well_and_samples_that_are_no_numbers_are_refused():
    packed = encoded("FLAC", None, np.zeros((40_000, 8)), 192_000)
    with pytest.raises(ValueError, match=r"320000 samples in \d+ bytes"):
        media.sound(packed, longest=0.5)
    assert media.sound(packed)[1] == 192_000
    with pytest.raises(ValueError, match="no numbers"):
        media.sound(encoded("WAV", "FLOAT", np.array([0.1, np.nan])))
    assert media.sound(encoded("WAV", "FLOAT", np.array([0.5, 1e30])))[0].tolist() == [0.5, 1.0]


def test_a_header_that_claims_much_makes_nothing_of_the_size():
    flac = bytearray(encoded("FLAC"))
    flac[21] |= 0x0F  # 36 bits of samples
    flac[22:26] = b"\xff" * 4
    with pytest.raises(ValueError, match="at most 3600 s are heard"):
        media.sound(bytes(flac))
    wav = bytearray(encoded("WAV"))
    wav[40:44] = b"\xff\xff\xff\x7f"
    with pytest.raises(ValueError, match="cut short"):
        media.sound(bytes(wav))


def test_what_is_no_sound_says_why():
    good = media.as_wav(np.zeros(100), 8000)
    for content, why in (
        (b"", "not a readable audio file"),
        (b"RIFF", "not a readable audio file"),
        (good[:20], "damaged sound"),
        (b"\xff\xfb" + bytes(300), "no frame of MP3"),
        (good[:-50], "cut short"),
        (media.as_wav(np.zeros(0), 8000), "without"),
    ):
        with pytest.raises(ValueError, match=why):
            media.sound(content)


def test_hours_in_a_few_bytes_are_refused_before_they_are_made():
    with pytest.raises(ValueError, match=r"a sound of 100000\.0 s; at most 3600 s"):
        media.sound(media.as_wav(np.zeros(100_000), 1), 16000)
