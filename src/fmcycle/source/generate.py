"""Generators of synthetic text: (list of prompts) -> list of answers. Their `name` goes into every row's provenance."""

import json
import os
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fmcycle.artifact import folder as artifact
from fmcycle.engine.protocol import Request, Sampling
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.processor import chat
from fmcycle.ranges import ExistingPath, NonNegativeFloat, NonNegativeInt, PositiveInt, WebAddress

TRIES = 3


@dataclass(frozen=True)
class Endpoint:
    """A server with OpenAI's chat completions API; `url` is its address up to /chat/completions.

    key: the environment variable that holds the bearer token; if it is unset, requests carry no token.
    """

    url: WebAddress
    model: str
    temperature: NonNegativeFloat = 0.7
    max_tokens: PositiveInt = 512
    seed: NonNegativeInt = 0
    workers: PositiveInt = 4
    key: str = "OPENAI_API_KEY"

    @property
    def name(self) -> str:
        return self.model

    @property
    def settings(self) -> dict:
        """The settings that an answer depends on."""
        return {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}

    def __call__(self, prompts: list[str]) -> list[str]:
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self.answer, prompts))

    def answer(self, prompt: str) -> str:
        """The server's answer to one prompt. Raises InputError if the server gives none within TRIES attempts."""
        body = json.dumps({**self.settings, "messages": [{"role": "user", "content": prompt}]}).encode()
        headers = {"Content-Type": "application/json"}
        if token := os.environ.get(self.key):
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        for attempt in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=120) as response:
                    return str(json.load(response)["choices"][0]["message"]["content"] or "")
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                lasting = isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429
                if lasting or attempt == TRIES - 1:
                    why = f"{type(error).__name__}: {error}"
                    raise InputError(
                        f"{self.url}: {self.model} gave no answer ({why}); start the server, or correct url, model or key"
                    ) from error
                time.sleep(0.5 * 2**attempt)
        raise AssertionError


class Model:
    """A model folder of fmcycle or of transformers on this machine, decoded greedily: the same prompt gets the same answer.

    A prompt that leaves no room for an answer is truncated at its end.
    """

    def __init__(self, folder: ExistingPath, max_tokens: PositiveInt = 256):
        if not os.path.isdir(folder):
            raise InputError(f"{folder}: not a model folder; name one with inputs.generator=FOLDER")
        self.folder, self.max_tokens = folder, max_tokens
        self.name = f"{os.path.basename(folder.rstrip('/'))}@{artifact.verify(folder)[:16]}"
        self.settings = {"model": self.name, "max_tokens": max_tokens}
        self.loaded: tuple | None = None

    def __call__(self, prompts: list[str]) -> list[str]:
        from fmcycle.engine.context import Context  # imports torch, which Endpoint doesn't need
        from fmcycle.engine.generate import generate

        self.loaded = self.loaded or model_store.load_model(self.folder)
        model, processor = self.loaded
        room = max(1, model.config.max_position_embeddings - self.max_tokens)
        sampling = Sampling(self.max_tokens, stop_ids=Context(model, processor).stop_ids)
        answers = generate(model, [Request(self.ids(processor, prompt)[:room], sampling) for prompt in prompts])
        texts = [processor.decode(answer.ids, skip_special_tokens=True) for answer in answers]
        return [text.rstrip("\ufffd") for text in texts]  # max_tokens may cut the last character

    def ids(self, processor, prompt: str) -> list[int]:
        """A prompt's token ids, by the chat template if the model has one."""
        if processor.chat_template:
            return chat.render(processor, [{"role": "user", "content": prompt}], generation_prompt=True)
        return processor(prompt)["input_ids"]
