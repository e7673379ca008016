"""Decodes images and audio, for training, evaluation and serving alike."""

import io
import re
from typing import Any

import numpy as np

PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
SOUNDS = re.compile(rb"RIFF....WAVE|fLaC|OggS|ID3|\xff[\xe0-\xff]", re.DOTALL)  # first bytes of WAV, FLAC, OGG and MP3
MEASURED = re.compile(rb"\xff[\xe0-\xff]..(.{9}|.{17}|.{32})(..)?(Xing|Info|VBRI)", re.DOTALL)  # an MP3 frame that tells the length
SECONDS = 3600.0  # with a low rate in its header a small file claims hours
DENSE = 192_000  # samples a second over all channels; a file with more, and fewer bytes than samples, is refused: silence packs well
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


def is_sound(content: bytes) -> bool:
    """True for bytes that begin as WAV, FLAC, OGG or MP3."""
    return bool(SOUNDS.match(content))


def open_sound(content: bytes) -> Any:
    """Open a WAV, FLAC, OGG or MP3 file as a soundfile.SoundFile. Raises ValueError for another format, a damaged or an empty file."""
    import soundfile  # commands that read only text do without it

    if not is_sound(content):
        raise ValueError("not a readable audio file; supported: WAV, FLAC, OGG, MP3")
    try:
        file = soundfile.SoundFile(io.BytesIO(content))
    except soundfile.LibsndfileError as error:
        why = error.error_string if content[:4] in (b"RIFF", b"fLaC", b"OggS") else "it has no frame of MP3"
        raise ValueError(f"a damaged sound ({why})") from None
    if not file.frames:
        raise ValueError("a file without sound")
    if file.frames > 1 << 62 or (file.format == "MP3" and not MEASURED.search(content)):  # it would guess, and drop what is beyond
        raise ValueError("a file that does not say how long its sound is; write its header anew: ffmpeg -i OLD -c copy NEW")
    return file


def sound(content: bytes, rate: int | None = None, *, longest: float = SECONDS) -> tuple[np.ndarray, int]:
    """Return (float32 samples in [-1, 1], channels averaged; samples a second) of an audio file, resampled to `rate` if set.

    Raises ValueError that says what is wrong, and for more than `longest` seconds, before decoding.
    """
    with open_sound(content) as file:
        count, found = file.frames, file.samplerate
        if count > longest * found + 0.5:  # half a sample: the seconds are rounded
            raise ValueError(f"a sound of {count / found:.1f} s; at most {longest:g} s are heard")
        if count * file.channels > max(len(content), longest * DENSE):
            raise ValueError(f"a sound of {count * file.channels} samples in {len(content)} bytes; decode it to WAV first")
        try:
            samples = file.read(dtype="float64", always_2d=True).mean(1)
        except RuntimeError as error:  # soundfile's
            raise ValueError(f"a damaged sound ({str(error).rstrip('.')})") from None
        if len(samples) < count or _ends_early(content, file):
            raise ValueError("a sound that is cut short")
    if not np.isfinite(samples).all():
        raise ValueError("a sound with samples that are no numbers")
    return resampled(samples.clip(-1, 1), found, rate or found).astype(np.float32), rate or found


def _ends_early(content: bytes, file: Any) -> bool:
    """True for a WAV with less data than its header says, and an OGG whose last page is incomplete or not marked as the last."""
    if file.format != "OGG":
        return bool(re.search(r"^data : \d+ \(should be", file.extra_info, re.MULTILINE))
    page = content[content.rfind(b"OggS") :]
    return len(page) < 27 or not page[5] & 4 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


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
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16), rate, format="WAV")
    return out.getvalue()
