"""Text to text through an encoder-decoder (T5): the prompt is read whole, the answer is written token by token."""

from collections.abc import Iterator
from typing import Any

import torch

from fmcycle import model_store, part
from fmcycle.engine import inputs
from fmcycle.engine.transformers import Sequence, turns
from fmcycle.given import placed
from fmcycle.number import PositiveInt


class Seq2Seq:
    """(requests) -> stream of (index of the request, token id), as in the engine `transformers`; a prompt may be as long as an answer."""

    tasks = ("completion",)
    takes = ("text",)

    def __init__(self, folder: str, max_tokens: PositiveInt = 256, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.max_tokens = max_tokens

    @property
    def positions(self) -> int:
        """How many tokens the prompt may have, and the answer."""
        return inputs.positions(self.model, part.tokenizer_of(self.processor))

    def room(self, ids: list[int]) -> int:
        """How many tokens the answer to a prompt may have."""
        return self.positions if len(ids) <= self.positions else 0

    def begin(self, ids: list[int]) -> list[int]:
        """The ids of a prompt as the encoder expects them: with the token that ends a text."""
        return [*ids, part.tokenizer_of(self.processor).eos_token_id]

    def warm_up(self) -> None:
        """One short answer, so that the first person does not wait for lazy initialisation."""
        for _ in self([{"ids": [0], "max_tokens": 4, "stop": []}]):
            pass

    def __call__(self, requests: list[dict]) -> Iterator[tuple[int, int]]:
        start = self.model.config.decoder_start_token_id
        size = self.model.config.vocab_size
        return turns([Sequence(self._reader(request["ids"]), size, [start], request) for request in requests])

    def _reader(self, prompt: list[int]):
        """(ids, cache) -> output of the decoder over what the encoder made of `prompt`, which is read at the first step."""
        read: list[Any] = []

        def forward(ids: torch.Tensor, cache: Any):
            if not read:
                read.append(self.model.get_encoder()(input_ids=placed(self.model, torch.tensor([prompt]))))
            return self.model(encoder_outputs=read[0], decoder_input_ids=placed(self.model, ids), past_key_values=cache, use_cache=True)

        return forward
