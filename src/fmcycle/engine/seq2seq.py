"""Text to text through an encoder-decoder (T5): the prompt is read whole, the answer is written token by token."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fmcycle.engine import inputs
from fmcycle.engine.decoding import Decoding
from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.engine.worker import Worker
from fmcycle.model import store as model_store
from fmcycle.model.inputs import placed
from fmcycle.processor import components
from fmcycle.ranges import PositiveInt


class Seq2Seq(Worker):
    """Completions, as the engine `transformers` writes them; a prompt may be as long as an answer."""

    tasks = ("completion",)
    takes = ("text",)

    def __init__(self, folder: str, max_tokens: PositiveInt = 256, batch: PositiveInt = 8, *, device=None, dtype=None):
        super().__init__(batch)
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.max_tokens = max_tokens

    @property
    def positions(self) -> int:
        """How many tokens the prompt may have, and the answer."""
        return inputs.positions(self.model, components.tokenizer_of(self.processor))

    def room(self, ids: Sequence[int]) -> int:
        """How many tokens the answer to a prompt may have."""
        return self.positions if len(ids) <= self.positions else 0

    def begin(self, ids: list[int]) -> list[int]:
        """The ids of a prompt as the encoder expects them: with the token that ends a text."""
        return [*ids, components.tokenizer_of(self.processor).eos_token_id]

    def warm_up(self) -> None:
        """One short answer, so that the first person does not wait for lazy initialisation."""
        generate(self, [Request([0], Sampling(max_tokens=4))])

    def start(self, request: Request) -> Decoding:
        """Its answer in the making."""
        return Decoding(self._reader(request.ids), [self.model.config.decoder_start_token_id], request.sampling)

    def _reader(self, prompt: Sequence[int]) -> Callable:
        """(ids, cache) -> output of the decoder over what the encoder made of `prompt`, which is read at the first step."""
        read: list[Any] = []

        def forward(ids: torch.Tensor, cache: Any):
            if not read:
                read.append(self.model.get_encoder()(input_ids=placed(self.model, torch.tensor([list(prompt)]))))
            return self.model(encoder_outputs=read[0], decoder_input_ids=placed(self.model, ids), past_key_values=cache, use_cache=True)

        return forward
