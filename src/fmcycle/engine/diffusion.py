"""Generates images with a diffusion model. Its prompt is the name of a class, a text, or empty if the model has neither."""

import torch

from fmcycle.engine import inputs
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import components, media
from fmcycle.ranges import NonNegativeFloat, PositiveInt


class Diffusion:
    """`generate_image(prompt, n, seed, steps, guidance)` returns PNG files, the same for the same seed.

    steps, guidance: the values for requests that name none. More steps take longer and give finer images; more guidance follows the
    prompt more closely.
    """

    tasks = ("generate_image",)

    def __init__(self, folder: str, steps: PositiveInt = 50, guidance: NonNegativeFloat = 2.0, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.steps, self.guidance = steps, guidance
        self.takes = () if self.model.classes is None and self.model.text_encoder is None else ("text",)

    @property
    def size(self) -> str:
        """The size of an image as OpenAI writes it: width x height."""
        _, height, width = self.model.shape
        return f"{width}x{height}"

    @property
    def classes(self) -> list[str]:
        """The names of the classes that a prompt may name; empty if the prompt is a free text."""
        names = self.model.config.id2label or {}
        return [str(names.get(index, index)) for index in range(self.model.classes or 0)]

    def warm_up(self) -> None:
        """Run one step, so that the first client does not wait for lazy initialisation."""
        self.generate_image((self.classes or [""])[0], steps=1)

    def generate_image(
        self, prompt: str, *, n: int = 1, seed: int = 0, steps: int | None = None, guidance: float | None = None
    ) -> list[bytes]:
        """Return `n` PNG files. Raises InputError for a prompt that names no class, or that is longer than the text encoder reads."""
        asked = {"steps": steps or self.steps, "guidance": self.guidance if guidance is None else guidance}
        generator = torch.Generator().manual_seed(seed)
        images = self.model.sample(n, self._condition(prompt.strip(), n), generator=generator, **asked)
        return [media.as_png(image) for image in images.float().cpu().numpy()]

    def _condition(self, prompt: str, n: int) -> dict[str, torch.Tensor]:
        if self.model.classes is not None:
            names = [name.casefold() for name in self.classes]
            if prompt.casefold() not in names:
                known = ", ".join(self.classes[:20]) + (" ..." if len(names) > 20 else "")
                raise InputError(f"the prompt names no class of this model; its classes: {known}")
            return {"labels": torch.full((n,), names.index(prompt.casefold()))}
        if self.model.text_encoder is None:
            if prompt:
                raise InputError("this model generates images without a prompt: leave it empty")
            return {}
        tokenizer = components.tokenizer_of(self.processor)
        ids = tokenizer(prompt, split_special_tokens=True)["input_ids"]
        limit = inputs.positions(self.model.text_encoder, tokenizer)
        if len(ids) > limit:
            raise InputError(f"the prompt has {len(ids)} tokens and this model reads {limit}: shorten it")
        return {"input_ids": torch.tensor([ids or [self.model.padding]] * n)}
