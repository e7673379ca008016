"""Transcribes speech with an encoder-decoder over a spectrogram (Whisper)."""

import torch

from fmcycle.engine import inputs
from fmcycle.model import store as model_store
from fmcycle.model.inputs import placed
from fmcycle.processor import components
from fmcycle.ranges import PositiveInt


class Speech:
    """`transcribe(sound)` returns the greedy transcript of an audio file. Source: Radford et al., Whisper (2022)."""

    tasks = ("transcribe",)
    takes = ("audio",)

    def __init__(self, folder: str, max_tokens: PositiveInt = 224, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.max_tokens = min(max_tokens, self.model.config.max_target_positions - 4)  # four tokens begin a transcript

    def warm_up(self) -> None:
        """Do nothing: a transcript of silence would warm up nothing but noise."""

    @torch.inference_mode()
    def transcribe(self, sound: bytes) -> str:
        """Return the text. Raises InputError for an unreadable file, or one longer than the model hears at once."""
        features = placed(self.model, inputs.sounds(self.processor, [sound]))
        ids = self.model.generate(**features, do_sample=False, num_beams=1, max_new_tokens=self.max_tokens)
        text = components.tokenizer_of(self.processor).decode(ids[0], skip_special_tokens=True)
        return text.rstrip("\ufffd").strip()  # the limit may cut the last character
