"""Speech to text through an encoder-decoder over a spectrogram (Whisper)."""

import torch

from fmcycle.engine import inputs
from fmcycle.model import store as model_store
from fmcycle.model.inputs import placed
from fmcycle.processor import components
from fmcycle.ranges import PositiveInt


class Speech:
    """`transcribe(wav)`: what is said in a WAV file, greedily. Source: Radford et al., Whisper (2022)."""

    tasks = ("transcribe",)
    takes = ("audio",)

    def __init__(self, folder: str, max_tokens: PositiveInt = 224, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.max_tokens = min(max_tokens, self.model.config.max_target_positions - 4)  # beside the tokens that begin a transcript

    def warm_up(self) -> None:
        """Nothing: silence is no sound that a model should be asked about."""

    @torch.inference_mode()
    def transcribe(self, wav: bytes) -> str:
        """The text. Raises InputError for bytes that are no WAV, or more of it than the model hears at once."""
        features = placed(self.model, inputs.sounds(self.processor, [wav]))
        ids = self.model.generate(**features, do_sample=False, num_beams=1, max_new_tokens=self.max_tokens)
        return components.tokenizer_of(self.processor).decode(ids[0], skip_special_tokens=True).strip()
