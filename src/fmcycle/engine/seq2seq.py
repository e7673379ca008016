"""Generates text with an encoder-decoder (T5): the encoder reads the whole prompt, the decoder writes the answer token by token."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fmcycle.engine.context import Context
from fmcycle.engine.decoding import Decoding
from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.engine.worker import Worker
from fmcycle.model import store as model_store
from fmcycle.model.inputs import placed
from fmcycle.ranges import PositiveInt


class Seq2Seq(Worker, Context):
    """Completions with the same options as the engine `transformers`; prompt and answer may each fill the model's positions."""

    tasks = ("completion",)
    takes = ("text",)

    def __init__(self, folder: str, max_tokens: PositiveInt = 256, batch: PositiveInt = 8, *, device=None, dtype=None):
        model, processor = model_store.load_model(folder, device, dtype)
        Context.__init__(self, model, processor, max_tokens)
        Worker.__init__(self, batch)

    def warm_up(self) -> None:
        """Generate four tokens, so that the first client does not wait for lazy initialisation."""
        generate(self, [Request([0], Sampling(max_tokens=4))])

    def start(self, request: Request) -> Decoding:
        """Return the decoding of the answer to `request`."""
        return Decoding(self._reader(request.ids), [self.model.config.decoder_start_token_id], request.sampling)

    def _reader(self, prompt: Sequence[int]) -> Callable:
        """Return (ids, cache) -> the decoder's output. The encoder reads `prompt` at the first step."""
        read: list[Any] = []

        def forward(ids: torch.Tensor, cache: Any):
            if not read:
                read.append(self.model.get_encoder()(input_ids=placed(self.model, torch.tensor([list(prompt)]))))
            return self.model(encoder_outputs=read[0], decoder_input_ids=placed(self.model, ids), past_key_values=cache, use_cache=True)

        return forward
