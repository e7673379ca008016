"""Sound as numbers: feature extractors, and the formats of rows with `media` that hold a WAV file."""

import numpy as np

from fmcycle.processor import media
from fmcycle.processor.chat import plain_ids
from fmcycle.processor.components import feature_extractor_of, tokenizer_of
from fmcycle.processor.text import said
from fmcycle.ranges import PositiveInt

RATE, WINDOW, HOP = 16000, 400, 160  # AST's, in samples: frames of 25 ms, one every 10 ms


def spectrogram(texts, *, mels: PositiveInt = 64, frames: PositiveInt = 128):
    """A feature extractor of log-mel spectrograms at 16 kHz, a frame every 10 ms, as AST has it. Texts play no part.

    Values are scaled by AST's own mean and deviation (AudioSet's). Source: Gong et al., AST (2021).
    """
    from transformers import ASTFeatureExtractor

    return ASTFeatureExtractor(sampling_rate=RATE, num_mel_bins=mels, max_length=frames)


def longest(extractor) -> int | None:
    """How many samples an extractor hears, all beyond is cut off in silence; None where it says nothing of it."""
    if hasattr(extractor, "n_samples"):
        return extractor.n_samples
    frames = getattr(extractor, "max_length", None)
    return WINDOW + HOP * frames if isinstance(frames, int) else None


def features(row: dict, processor) -> dict:
    """A row with `media`, a WAV file, as {"input_features": (mels, frames)} (Whisper) or {"input_values": (frames, mels)} (AST), float32.

    Sound of another rate is resampled, of several channels averaged. Raises ValueError for bytes that are no WAV file, and for a sound
    that is longer than the extractor hears: a cut one would not say what its text or label says.
    """
    extractor = feature_extractor_of(processor)
    if extractor is None:
        raise ValueError("a sound, and the processor has no part for sound: choose processor=spectrogram or processor=whisper")
    if not isinstance(row.get("media"), bytes):
        raise ValueError("no sound in it: it has no column media; data.path must be a table of examples")
    rate = extractor.sampling_rate
    samples, _ = media.sound(row["media"], rate)
    if (limit := longest(extractor)) and len(samples) > limit:
        heard = f"the processor hears {limit / rate:.2f} s: raise processor.seconds, or processor.frames"
        raise ValueError(f"a sound of {len(samples) / rate:.2f} s, {heard}")
    samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))  # one frame at least
    name = extractor.model_input_names[0]
    values = extractor(samples, sampling_rate=rate, return_tensors="np")[name][0]
    return {name: np.asarray(values, dtype=np.float32)}


def transcript(row: dict, processor) -> dict | None:
    """A sound and what is said in it: `features` and {"decoder_labels"}, ending with the end of text; None for one without a text."""
    text, tokenizer = said(row, None), tokenizer_of(processor)
    if not text:
        return None
    if tokenizer is None:
        raise ValueError("a transcript, and the processor has no tokenizer: choose processor=whisper")
    return {**features(row, processor), "decoder_labels": [*plain_ids(processor, text), tokenizer.eos_token_id]}


def example() -> dict:
    """A tone of a tenth of a second with what is said in it, and a processor of speech."""
    from fmcycle.config.example import processor
    from fmcycle.processor.multimodal import whisper

    sound = media.as_wav(np.sin(np.arange(1600) * 0.2).astype(np.float32) / 2, RATE)
    return {"row": processor()["row"] | {"media": sound}, "processor": whisper(processor()["texts"], seconds=1, vocab_size=300)}
