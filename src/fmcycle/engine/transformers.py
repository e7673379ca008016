"""The reference engine: transformers with a KV cache, every sequence by itself."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from fmcycle import model_store, part
from fmcycle.engine import inputs
from fmcycle.given import placed
from fmcycle.number import PositiveInt


class Transformers:
    """(requests) -> stream of (index of the request, token id), the requests taking turns token by token.

    A request is a dict: `ids` (list[int], the prompt), `max_tokens`, `stop` (ids that end it, not yielded), and, optional,
    `temperature` (0: greedy, the default), `top_p`, `seed`, `presence_penalty`, `frequency_penalty`; for a vision-language model
    `images` (list[bytes]), one for each run of image tokens in `ids`, in their order. Closing the stream ends the work.
    Several threads may each run a stream of their own.
    """

    def __init__(self, folder: str, max_tokens: PositiveInt = 256, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.tokenizer = part.tokenizer_of(self.processor)
        self.max_tokens = max_tokens
        template = getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template
        self.tasks = ("chat", "completion") if template else ("completion",)
        self.takes = ("text",) if part.image_processor_of(self.processor) is None else ("text", "image")

    @property
    def positions(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self.model.config.get_text_config().max_position_embeddings

    def room(self, ids: list[int]) -> int:
        """How many tokens the answer to a prompt may have."""
        return self.positions - len(ids)

    def begin(self, ids: list[int]) -> list[int]:
        """The ids of a text to go on with as the model expects them: behind the token that begins a text, where there is one."""
        start = self.tokenizer.bos_token_id
        return ids if start is None else [start, *ids]

    def warm_up(self) -> None:
        """One short answer, so that the first person does not wait for lazy initialisation."""
        for _ in self([{"ids": [0], "max_tokens": 4, "stop": []}]):
            pass

    def __call__(self, requests: list[dict]) -> Iterator[tuple[int, int]]:
        size = self.model.config.get_text_config().vocab_size
        return turns([Sequence(self._reader(request.get("images")), size, request["ids"], request) for request in requests])

    def _reader(self, images: list[bytes] | None) -> Callable:
        """(ids, cache) -> output; the pictures are seen at the first step."""
        pixels = placed(self.model, inputs.pictures(self.processor, images)) if images else {}

        def forward(ids: torch.Tensor, cache: Any):
            seen = pixels if cache is None else {}
            return self.model(input_ids=placed(self.model, ids), past_key_values=cache, use_cache=True, logits_to_keep=1, **seen)

        return forward


def turns(sequences: list["Sequence"]) -> Iterator[tuple[int, int]]:
    """(index, token id) of sequences that take turns until all have ended."""
    running = dict(enumerate(sequences))
    while running:
        for index, sequence in list(running.items()):
            token = sequence.step()
            if token is not None:
                yield index, token
            if sequence.done:
                del running[index]


class Sequence:
    """One answer in the making: its cache, its generator and what it has said; but for the cache all of it on the CPU.

    forward: (ids (1, T), cache or None) -> a transformers output with `logits` and `past_key_values`.
    """

    def __init__(self, forward: Callable, vocabulary: int, ids: list[int], request: dict):
        self.forward, self.request = forward, request
        self.input = torch.tensor([ids])
        self.cache = None
        self.counts = torch.zeros(vocabulary)
        self.left = request["max_tokens"]
        self.done = self.left <= 0
        self.generator = torch.Generator().manual_seed(request.get("seed") or 0)

    @torch.inference_mode()
    def step(self) -> int | None:
        """The next token, or None where the answer has ended."""
        if self.done:
            return None
        out = self.forward(self.input, self.cache)
        self.cache = out.past_key_values
        token = choose(out.logits[0, -1].float().cpu(), self.counts, self.request, self.generator)  # drawn the same on every device
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
