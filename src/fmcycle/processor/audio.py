"""Audio as numbers: feature extractors, and the formats of rows whose `media` is an audio file."""

import numpy as np

from fmcycle.processor import media
from fmcycle.processor.chat import plain_ids
from fmcycle.processor.components import feature_extractor_of, tokenizer_of
from fmcycle.processor.text import said
from fmcycle.ranges import PositiveInt

RATE, WINDOW, HOP = 16000, 400, 160  # of AST, in samples: frames of 25 ms, one every 10 ms


def spectrogram(texts, *, mels: PositiveInt = 64, frames: PositiveInt = 128):
    """Return AST's feature extractor: log-mel spectrograms at 16 kHz, a frame every 10 ms. `texts` are not used.

    It scales values by the mean and deviation of AudioSet. Source: Gong et al., AST (2021).
    """
    from transformers import ASTFeatureExtractor

    return ASTFeatureExtractor(sampling_rate=RATE, num_mel_bins=mels, max_length=frames)


def longest(extractor) -> int | None:
    """Return the number of samples after which an extractor silently truncates; None if it states none."""
    if hasattr(extractor, "n_samples"):
        return extractor.n_samples
    frames = getattr(extractor, "max_length", None)
    return WINDOW + HOP * frames if isinstance(frames, int) else None


def features(row: dict, processor) -> dict:
    """Return the audio file in `media` as {"input_features": (mels, frames)} (Whisper) or {"input_values": (frames, mels)} (AST), float32.

    It resamples other rates and averages channels. Raises ValueError for bytes that are no audio file, and for audio longer than the
    extractor takes: truncated audio would not match its text or label.
    """
    extractor = feature_extractor_of(processor)
    if extractor is None:
        raise ValueError("has audio, but the processor has no feature extractor: choose processor=spectrogram or processor=whisper")
    if not isinstance(row.get("media"), bytes):
        raise ValueError("no audio in it: its column media is missing or empty; data.path must be a table of examples")
    rate = extractor.sampling_rate
    samples, _ = media.sound(row["media"], rate)
    if (limit := longest(extractor)) and len(samples) > limit:
        heard = f"but the processor takes {limit / rate:.2f} s: raise processor.seconds, or processor.frames"
        raise ValueError(f"audio of {len(samples) / rate:.2f} s, {heard}")
    samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))  # at least one frame
    name = extractor.model_input_names[0]
    values = extractor(samples, sampling_rate=rate, return_tensors="np")[name][0]
    return {name: np.asarray(values, dtype=np.float32)}


def transcript(row: dict, processor) -> dict | None:
    """Return `features` and {"decoder_labels"} of the transcript, which ends with the end of text; None for a row without text."""
    text, tokenizer = said(row, None), tokenizer_of(processor)
    if not text:
        return None
    if tokenizer is None:
        raise ValueError("has a transcript, but the processor has no tokenizer: choose processor=whisper")
    return {**features(row, processor), "decoder_labels": [*plain_ids(processor, text), tokenizer.eos_token_id]}


def example() -> dict:
    """Return a tone of a tenth of a second with a transcript, and a speech processor."""
    from fmcycle.config.example import processor
    from fmcycle.processor.multimodal import whisper

    sound = media.as_wav(np.sin(np.arange(1600) * 0.2).astype(np.float32) / 2, RATE)
    return {"row": processor()["row"] | {"media": sound}, "processor": whisper(processor()["texts"], seconds=1, vocab_size=300)}
