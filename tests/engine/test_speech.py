"""Speech: what the model has learnt of a sound is what it writes."""

import io

import families
import numpy as np
import pytest
import soundfile

from fmcycle.errors import InputError
from fmcycle.processor import media


def test_a_transcript_that_was_learnt_is_written(engine):
    assert engine("speech").transcribe(families.WAV) == "the bucket"


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_a_sound_of_every_kind_is_heard(engine, kind):
    out = io.BytesIO()
    soundfile.write(out, *soundfile.read(io.BytesIO(families.WAV)), format=kind)
    assert engine("speech").transcribe(out.getvalue()) == "the bucket"


def test_more_than_it_hears_and_what_is_no_sound_are_refused(engine):
    with pytest.raises(InputError, match=r"a sound of 1\.5 s; at most 1 s are heard"):
        engine("speech").transcribe(media.as_wav(np.zeros(12000), 8000))
    with pytest.raises(InputError, match="not a readable audio file"):
        engine("speech").transcribe(b"RIFF....")
