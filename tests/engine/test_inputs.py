"""What is served is read as what was trained on: the engines' tensors are those of the processors' formats, bit for bit."""

import families
import pytest

from fmcycle.engine import inputs
from fmcycle.processor import media
from fmcycle.processor.audio import features, spectrogram
from fmcycle.processor.image import image, pixels
from fmcycle.processor.multimodal import whisper
from fmcycle.processor.text import document


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures(channels):
    processor = image([], size=8, channels=channels)
    trained = [pixels({"media": content}, processor)["pixel_values"] for content in (families.PNG, families.OTHER_PNG)]
    served = inputs.pictures(processor, [families.PNG, families.OTHER_PNG])["pixel_values"].numpy()
    assert served.shape == (2, channels, 8, 8) and all((one == other).all() for one, other in zip(trained, served, strict=True))


@pytest.mark.parametrize("make", [lambda: spectrogram([], mels=16, frames=64), lambda: whisper([families.TEXT] * 20, mels=16, seconds=1)])
def test_sound(make):
    processor = make()
    short = media.as_wav([0.5] * 100, 8000)
    for content in (families.WAV, short):
        for name, values in features({"media": content}, processor).items():
            assert (inputs.sounds(processor, [content])[name][0].numpy() == values).all()


def test_text(engine):
    one = engine("encoder")
    ids = document({"text": families.TEXT}, one.processor)["input_ids"]
    assert inputs.texts(one.model, one.processor, [families.TEXT])[0]["input_ids"][0].tolist() == ids
