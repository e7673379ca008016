"""The reference engine: transformers with a KV cache, every sequence by itself, on the CPU."""

from collections.abc import Iterator

import torch

from fmcycle import artifact
from fmcycle.number import PositiveInt


class Transformers:
    """(requests) -> stream of (index of the request, token id), the requests taking turns token by token.

    A request is a dict: `ids` (list[int], the prompt), `max_tokens`, `stop` (ids that end it, not yielded), and, optional,
    `temperature` (0: greedy, the default), `top_p`, `seed`, `presence_penalty`, `frequency_penalty`.
    Closing the stream ends the work. Several threads may each run a stream of their own.
    """

    def __init__(self, folder: str, max_tokens: PositiveInt = 256):
        self.model, self.processor = artifact.load_model(folder)
        self.max_tokens = max_tokens

    @property
    def positions(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self.model.config.max_position_embeddings

    def __call__(self, requests: list[dict]) -> Iterator[tuple[int, int]]:
        running = {index: _Sequence(self.model, request) for index, request in enumerate(requests)}
        while running:
            for index, sequence in list(running.items()):
                token = sequence.step()
                if token is not None:
                    yield index, token
                if sequence.done:
                    del running[index]


class _Sequence:
    """One answer in the making: its cache, its generator and what it has said."""

    def __init__(self, model, request: dict):
        self.model, self.request = model, request
        self.input = torch.tensor([request["ids"]])
        self.cache = None
        self.counts = torch.zeros(model.config.vocab_size)
        self.left = request["max_tokens"]
        self.done = self.left <= 0
        self.generator = torch.Generator().manual_seed(request.get("seed") or 0)

    @torch.inference_mode()
    def step(self) -> int | None:
        """The next token, or None where the answer has ended."""
        if self.done:
            return None
        out = self.model(input_ids=self.input, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        self.cache = out.past_key_values
        token = choose(out.logits[0, -1].float(), self.counts, self.request, self.generator)
        self.counts[token] += 1
        self.left -= 1
        self.input = torch.tensor([[token]])
        stopped = token in self.request["stop"]
        self.done = stopped or self.left <= 0
        return None if stopped else token


def choose(logits: torch.Tensor, counts: torch.Tensor, request: dict, generator: torch.Generator) -> int:
    """One token id. logits, counts: (vocabulary,). Nucleus sampling as in Holtzman et al. (2020), penalties as OpenAI defines them."""
    logits = logits - request.get("frequency_penalty", 0.0) * counts - request.get("presence_penalty", 0.0) * (counts > 0)
    temperature = request.get("temperature", 0.0)
    if temperature == 0:
        return int(logits.argmax())
    probabilities, order = torch.softmax(logits / temperature, -1).sort(descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = probabilities * (before < request.get("top_p", 1.0))  # the first is always kept: nothing stands before it
    if not probabilities.sum() > 0:
        return int(order[0])
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
