"""Decodes one answer of a transformers model with a key-value cache, and samples its next token."""

from collections.abc import Callable, Sequence

import torch

from fmcycle.engine.protocol import Sampling


class Draw:
    """Samples the tokens of one answer with its own random generator, and counts them for the penalties. plain: True if greedy."""

    def __init__(self, sampling: Sampling):
        self.sampling, self.counts = sampling, torch.zeros(0)
        self.plain = not (sampling.temperature or sampling.presence_penalty or sampling.frequency_penalty)
        self.generator = torch.Generator().manual_seed(sampling.seed)

    def __call__(self, logits: torch.Tensor) -> int:
        """Return the next token. logits: (vocabulary,) fp32 on the CPU, so that a seed draws the same tokens on every device."""
        if not len(self.counts):
            self.counts = torch.zeros_like(logits)
        token = choose(logits, self.counts, self.sampling, self.generator)
        self.counts[token] += 1
        return token


class Decoding:
    """One unfinished answer: its key-value cache and its sampler.

    forward: (ids (1, T), cache or None) -> a transformers output with `logits` and `past_key_values`.
    """

    def __init__(self, forward: Callable, ids: Sequence[int], sampling: Sampling):
        self.forward, self.sampling = forward, sampling
        self.input = torch.tensor([list(ids)])
        self.cache = None
        self.left = sampling.max_tokens
        self.done = self.left <= 0
        self.draw = Draw(sampling)

    @torch.inference_mode()
    def step(self) -> int | None:
        """Return the next token, or None if the answer has ended."""
        if self.done:
            return None
        out = self.forward(self.input, self.cache)
        self.cache = out.past_key_values
        token = self.draw(out.logits[0, -1].float().cpu())
        self.left -= 1
        self.input = torch.tensor([[token]])
        stopped = token in self.sampling.stop_ids
        self.done = stopped or self.left <= 0
        return None if stopped else token


def choose(logits: torch.Tensor, counts: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """Return a token id. logits, counts: (vocabulary,). Nucleus sampling as in Holtzman et al. (2020), penalties as OpenAI defines them."""
    logits = logits - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities, order = torch.softmax(logits / sampling.temperature, -1).sort(descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = probabilities * (before < sampling.top_p)  # the first token is always kept, because the sum before it is 0
    if not probabilities.sum() > 0:
        return int(order[0])
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
