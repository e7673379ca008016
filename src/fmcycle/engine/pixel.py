"""Generates images with a decoder that writes pixel by pixel, as a language model writes tokens (Image GPT)."""

import numpy as np
import torch

from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import components, media
from fmcycle.ranges import PositiveFloat


class Pixel:
    """`generate_image("", n, seed)` returns PNG files, the same for the same seed; such a model takes no prompt.

    temperature: below 1 the images are cleaner and less varied. The model's last token begins an image, the others are the levels of a
    pixel from dark to bright, in raster order, the channels of a pixel side by side. Source: Chen et al., Image GPT (2020).
    """

    tasks = ("generate_image",)
    takes: tuple[str, ...] = ()

    def __init__(self, folder: str, temperature: PositiveFloat = 1.0, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.temperature = temperature
        prepare = components.image_processor_of(self.processor)
        self.shape = (prepare.size["height"], prepare.size["width"], media.channels_of(prepare))
        self.start = self.model.config.vocab_size - 1

    @property
    def size(self) -> str:
        """The size of an image as OpenAI writes it: width x height."""
        height, width, _ = self.shape
        return f"{width}x{height}"

    def warm_up(self) -> None:
        """Write one pixel, so that the first client does not wait for lazy initialisation."""
        self._write(1, 1, torch.Generator())

    def generate_image(
        self, prompt: str, *, n: int = 1, seed: int = 0, steps: int | None = None, guidance: float | None = None
    ) -> list[bytes]:
        """Return `n` PNG files. Raises InputError for a prompt, and for steps or guidance, which only diffusion has."""
        if prompt.strip():
            raise InputError("this model generates images without a prompt: leave it empty")
        if steps is not None or guidance is not None:
            raise InputError("this model writes pixel by pixel and has no steps and no guidance: leave both out")
        levels = self._write(n, int(np.prod(self.shape)), torch.Generator().manual_seed(seed))
        values = levels.reshape(n, *self.shape).transpose(0, 3, 1, 2) / (self.start - 1) * 2 - 1
        return [media.as_png(image) for image in values]

    @torch.inference_mode()
    def _write(self, n: int, count: int, generator: torch.Generator) -> np.ndarray:
        """Return levels (n, count); each is drawn from the model's distribution after the levels before it."""
        ids, cache, drawn = torch.full((n, 1), self.start), None, []
        for _ in range(count):
            out = self.model(input_ids=ids.to(self.model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            # on the CPU, so that a seed draws the same on every device
            chances = torch.softmax(out.logits[:, -1, : self.start].float().cpu() / self.temperature, -1)
            ids = torch.multinomial(chances, 1, generator=generator)
            drawn.append(ids)
        return torch.cat(drawn, 1).numpy()
