"""One answer of a transformers model with a KV cache, and how its next token is chosen."""

from collections.abc import Callable, Sequence

import torch

from fmcycle.engine.protocol import Sampling


class Decoding:
    """An answer in the making: its cache, its generator and how often it has said what; but for the cache all of it on the CPU.

    forward: (ids (1, T), cache or None) -> a transformers output with `logits` and `past_key_values`.
    """

    def __init__(self, forward: Callable, vocabulary: int, ids: Sequence[int], sampling: Sampling):
        self.forward, self.sampling = forward, sampling
        self.input = torch.tensor([list(ids)])
        self.cache = None
        self.counts = torch.zeros(vocabulary)
        self.left = sampling.max_tokens
        self.done = self.left <= 0
        self.generator = torch.Generator().manual_seed(sampling.seed)

    @torch.inference_mode()
    def step(self) -> int | None:
        """The next token, or None if the answer has ended."""
        if self.done:
            return None
        out = self.forward(self.input, self.cache)
        self.cache = out.past_key_values
        token = choose(out.logits[0, -1].float().cpu(), self.counts, self.sampling, self.generator)  # drawn the same on every device
        self.counts[token] += 1
        self.left -= 1
        self.input = torch.tensor([[token]])
        stopped = token in self.sampling.stop_ids
        self.done = stopped or self.left <= 0
        return None if stopped else token


def choose(logits: torch.Tensor, counts: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token id. logits, counts: (vocabulary,). Nucleus sampling as in Holtzman et al. (2020), penalties as OpenAI defines them."""
    logits = logits - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities, order = torch.softmax(logits / sampling.temperature, -1).sort(descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = probabilities * (before < sampling.top_p)  # the first is always kept: nothing stands before it
    if not probabilities.sum() > 0:
        return int(order[0])
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
