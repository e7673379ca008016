"""The reference engine: transformers with a key-value cache, one forward for each sequence."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fmcycle.engine import inputs
from fmcycle.engine.context import Context
from fmcycle.engine.decoding import Decoding
from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.engine.worker import Worker
from fmcycle.model import store as model_store
from fmcycle.model.inputs import placed
from fmcycle.processor import components
from fmcycle.ranges import PositiveInt


class Transformers(Worker, Context):
    """Chats and completions of a decoder, and chats about images if it is a vision-language model.

    max_tokens: length of an answer whose request names none; batch: number of answers that are written at the same time, a token each
    in turns.
    """

    def __init__(self, folder: str, max_tokens: PositiveInt = 256, batch: PositiveInt = 8, *, device=None, dtype=None):
        model, processor = model_store.load_model(folder, device, dtype)
        Context.__init__(self, model, processor, max_tokens)
        Worker.__init__(self, batch)
        template = getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template
        self.tasks = ("chat", "completion") if template else ("completion",)
        self.takes = ("text",) if components.image_processor_of(self.processor) is None else ("text", "image")

    def warm_up(self) -> None:
        """Generate four tokens, so that the first client does not wait for lazy initialisation."""
        generate(self, [Request([0], Sampling(max_tokens=4))])

    def start(self, request: Request) -> Decoding:
        """Return the decoding of the answer to `request`."""
        return Decoding(self._reader(request.images), request.ids, request.sampling)

    def _reader(self, images: Sequence[bytes]) -> Callable:
        """Return (ids, cache) -> output. The model sees the images at the first step."""
        pixels = placed(self.model, inputs.pictures(self.processor, list(images))) if images else {}

        def forward(ids: torch.Tensor, cache: Any):
            seen = pixels if cache is None else {}
            return self.model(input_ids=placed(self.model, ids), past_key_values=cache, use_cache=True, logits_to_keep=1, **seen)

        return forward
