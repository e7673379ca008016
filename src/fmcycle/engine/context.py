"""The context of a language model: how many tokens it reads, and which special tokens a prompt needs."""

from collections.abc import Sequence
from typing import Any

from fmcycle.engine import inputs
from fmcycle.processor import components


class Context:
    """The methods of a `TokenEngine` that concern the prompt, over a decoder or an encoder-decoder in memory.

    max_tokens: length of an answer whose request names none.
    """

    def __init__(self, model: Any, processor: Any, max_tokens: int = 256):
        self.model, self.processor, self.max_tokens = model, processor, max_tokens
        self.tokenizer = components.tokenizer_of(processor)
        self.encodes = bool(getattr(model.config, "is_encoder_decoder", False))

    @property
    def positions(self) -> int:
        """How many tokens prompt and answer may have together; for an encoder-decoder, each of them."""
        return inputs.positions(self.model, self.tokenizer) if self.encodes else self.model.config.get_text_config().max_position_embeddings

    def room(self, ids: Sequence[int]) -> int:
        """How many tokens the answer to a prompt may have."""
        if self.encodes:
            return self.positions if len(ids) <= self.positions else 0
        return self.positions - len(ids)

    def begin(self, ids: list[int]) -> list[int]:
        """The ids of a text to go on with as the model expects them.

        A decoder gets the token that begins a text, if its tokenizer has one; an encoder-decoder gets the token that ends a text.
        """
        if self.encodes:
            return [*ids, self.tokenizer.eos_token_id]
        start = self.tokenizer.bos_token_id
        return ids if start is None else [start, *ids]

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: the processor's, and those of the model's generation_config, of which some models have several."""
        own = getattr(getattr(self.model, "generation_config", None), "eos_token_id", None)
        return frozenset({*components.ends(self.processor), *(own if isinstance(own, list) else [own])} - {None})
