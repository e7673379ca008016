import numpy as np
import pytest

from fmcycle.processor import media
from fmcycle.processor.audio import features, spectrogram, transcript
from fmcycle.processor.image import image
from fmcycle.processor.multimodal import whisper


def tone(hertz, seconds=0.5, rate=8000):
    return {"media": media.as_wav(0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate), rate), "text": "one", "id": "a"}


def loudest(values):
    """The band with the most energy in the middle of the sound."""
    return int(values[:, 10:40].mean(1).argmax())


@pytest.fixture(scope="module")
def processor():
    return whisper(["zero", "one", "two"] * 4, mels=40, seconds=1, vocab_size=280)


def test_a_higher_tone_lies_in_a_higher_band_at_whatever_rate_it_was_recorded(processor):
    low, high, slow = (features(row, processor)["input_features"] for row in (tone(500), tone(2000), tone(500, rate=16000)))
    assert low.shape == (40, 100) and low.dtype == np.float32
    assert loudest(low) < loudest(high) and abs(loudest(low) - loudest(slow)) <= 1
    extractor = spectrogram([], mels=32, frames=64)
    low, high = (features(tone(hertz), extractor)["input_values"] for hertz in (500, 2000))
    assert low.shape == (64, 32) and loudest(low.T) < loudest(high.T)


def test_a_transcript_ends_with_the_end_of_text(processor):
    row = transcript(tone(500), processor)
    assert set(row) == {"input_features", "decoder_labels"}
    assert processor.tokenizer.decode(row["decoder_labels"]) == "one<|endoftext|>"
    assert transcript(tone(500) | {"text": ""}, processor) is None


def test_a_sound_that_would_be_cut_and_bytes_that_are_none_are_refused(processor):
    with pytest.raises(ValueError, match=r"1\.50 s, but the processor takes 1\.00 s: raise processor\.seconds"):
        features(tone(500, seconds=1.5), processor)
    with pytest.raises(ValueError, match="cut short"):
        features({"media": tone(500)["media"][:300]}, processor)
    with pytest.raises(ValueError, match="no feature extractor"):
        features(tone(500), image([]))
    with pytest.raises(ValueError, match="no tokenizer"):
        transcript(tone(500), spectrogram([]))
    assert features(tone(500, seconds=0.01), spectrogram([], frames=8))["input_values"].shape == (8, 64)
