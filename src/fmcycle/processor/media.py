"""Decodes images and audio, for training, evaluation and serving alike."""

import io
import wave
from typing import Any

import numpy as np

PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
SECONDS = 3600.0  # with a low rate in its header a small file claims hours
PIXELS = 1 << 24  # 4096 x 4096; larger ones are refused before decoding, because a small file can claim any size


def picture(content: bytes, channels: int = 3) -> Any:
    """Return a PIL image in RGB (3 channels) or grey (1), transparency on white. Raises ValueError that says what is wrong."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=PICTURES) as file:
            image: Image.Image = file
            if image.width * image.height > PIXELS:
                raise ValueError(f"a picture of {image.width} x {image.height}; at most {PIXELS} pixels are read")
            image.load()
            if image.mode in ("RGBA", "LA", "PA", "P", "La", "RGBa"):
                clear = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), clear)
            elif image.mode.startswith(("I", "F")):
                raise ValueError(f"a picture of mode {image.mode}; 8 bits a channel are read")
            return image.convert("RGB" if channels == 3 else "L")
    except Image.UnidentifiedImageError:
        raise ValueError(f"not a readable image; supported: {', '.join(PICTURES)}") from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"a damaged picture ({error})") from None


def channels_of(image_processor: Any) -> int:
    """Return the number of channels of the images that an image processor takes."""
    return len(image_processor.image_mean)


def sound(content: bytes, rate: int | None = None, *, longest: float = SECONDS) -> tuple[np.ndarray, int]:
    """Return (float32 samples in [-1, 1], channels averaged; samples a second) of a WAV file, resampled to `rate` if set.

    Raises ValueError that says what is wrong, and for more than `longest` seconds, before resampling.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            width, channels, found, count = file.getsampwidth(), file.getnchannels(), file.getframerate(), file.getnframes()
            data = file.readframes(count)
    except (wave.Error, EOFError, RuntimeError) as error:
        raise ValueError(f"no WAV file of PCM that can be read ({str(error) or 'cut short'})") from None
    if not data or not found or len(data) < count * width * channels:
        raise ValueError("a WAV file without sound" if not data or not found else "a WAV file that is cut short")
    if count > longest * found + 0.5:  # half a sample: the seconds are rounded
        raise ValueError(f"a sound of {count / found:.1f} s; at most {longest:g} s are heard")
    samples = decoded(data, width).reshape(-1, channels).mean(1, dtype=np.float64)
    return resampled(samples, found, rate or found).astype(np.float32), rate or found


def decoded(data: bytes, width: int) -> np.ndarray:
    """Return PCM of `width` bytes a sample as floats in [-1, 1]; as in WAV, one byte is unsigned, more are signed."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    padded = np.zeros((len(data) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return padded.view("<i4")[:, 0] / 2.0**31


def resampled(samples: np.ndarray, have: int, want: int) -> np.ndarray:
    """Return `samples` (T,) at another rate by the Fourier transform: frequencies that both rates can represent are kept."""
    if have == want:
        return samples
    size = max(1, round(len(samples) * want / have))
    spectrum = np.fft.rfft(samples)[: size // 2 + 1]
    return np.fft.irfft(np.pad(spectrum, (0, size // 2 + 1 - len(spectrum))), size) * (size / len(samples))


def as_png(values: np.ndarray) -> bytes:
    """Return PNG bytes of (C, H, W) in [-1, 1], one channel or three."""
    from PIL import Image

    levels = np.round((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(levels[0] if len(levels) == 1 else levels.transpose(1, 2, 0)).save(out, "PNG")
    return out.getvalue()


def as_wav(samples: np.ndarray, rate: int) -> bytes:
    """Return WAV bytes, 16 bit, one channel, of `samples` (T,) in [-1, 1]."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()
