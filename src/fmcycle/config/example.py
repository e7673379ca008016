"""Small real samples of the arguments that a stage passes to an option: {parameter of the call: value}.

An option's own sample is the function `example` of its class, or of its module for all options there. This module has the samples that
several options share; a function with a noun's name serves all options of the noun. A config can't build a sample, and samples are
not part of a stage's code digest (`fmcycle.config.code_digest`).
"""

import importlib
from typing import Any

from fmcycle.config import library

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
TOKENS: dict[str, Any] = {"vocab_size": 64, "pad_token_id": 1}
PAGE = "<html><body><nav><a href='/'>Home</a></nav><article>{}</article></body></html>"
TEXTS = (
    ("a.txt", "The queue holds the messages of a service, and the service reads them in order.\n" * 9, "text"),
    ("b.txt", "", "text"),
    ("c.py", "def f(:\n    pass", "code"),
    ("d.html", PAGE.format("<p>The keeper of the inn told us a long story.</p>" * 9), "html"),
    ("e.txt", "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。", "text"),
    ("f.txt", "It's the shit that you shit.\n\ndonâ€™t   write\r\nto me@example.com [1]\n" + "and again " * 60, "markdown"),
    ("g.json", "{}", None),
)


def of(noun: str, target: str) -> dict[str, Any]:
    """Return the sample for the option of `noun` that builds `target`: the noun's, the module's and the class's, merged; the last wins."""
    module, _, name = target.rpartition(".")
    found = [globals().get(noun)]
    if not library.rules(target):
        room = importlib.import_module(module)
        found += [getattr(room, "example", None), getattr(getattr(room, name), "example", None)]
    return {key: value for function in found if function for key, value in function().items()}


def decoder(vocab_size: int = 64) -> Any:
    """Return a causal language model of `vocab_size` tokens, with 64 of them about 20,000 weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**SIZES, **TOKENS | {"vocab_size": vocab_size}))


def tokens() -> dict[str, Any]:
    """Return eight rows of 5 to 12 tokens, padded on the right: {"input_ids", "labels"}, (8, 12) each."""
    import torch

    ids = torch.randint(4, 64, (8, 12), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    for row in range(8):
        ids[row, 12 - row :], labels[row, 12 - row :] = 1, -100
    return {"input_ids": ids, "labels": labels}


def pictures() -> Any:
    """Return eight grey images: (8, 1, 8, 8)."""
    import torch

    return torch.rand((8, 1, 8, 8), generator=torch.Generator().manual_seed(1))


def strategy() -> dict[str, Any]:
    """A model with all weights trainable."""
    return {"model": decoder()}


def optimizer() -> dict[str, Any]:
    """A model with matrices, embeddings and norms."""
    return {"model": decoder()}


def curation() -> dict[str, Any]:
    """A frame of documents: prose, an empty one, code, a web page, Chinese, text that rules drop, and JSON."""
    import polars as pl

    frame = pl.DataFrame(TEXTS, schema={"id": pl.String, "text": pl.String, "type": pl.String}, orient="row")
    days = pl.Series("time", [f"2024-01-0{1 + place % 3}T00:00:00" for place in range(len(TEXTS))])
    labels = pl.Series("label", ["good", "bad"] * len(TEXTS))[: len(TEXTS)]
    return {"frame": frame.with_columns(days, labels, licence=pl.lit("MIT"), source=pl.lit("own"))}


def evaluation() -> dict[str, Any]:
    """Return a language model with its processor, and what an evaluation's yaml refers to.

    rows: of every table; option: of conf/data, None for none; data: keys of it; settings: arguments in place of those in the yaml.
    """
    import numpy as np

    from fmcycle.processor import chat, media

    said = ("The bucket holds objects.", "The owner may list them all.", "A user deletes it.", "No other user needs it.")
    rows = []
    for number in range(24):
        text, label = said[number % 4], ("cat", "dog", "owl")[number % 3]
        asked, picture = [{"role": "user", "content": f"Name it, {number}"}], np.full((1, 8, 8), number / 12 - 1)
        row: dict[str, Any] = {
            "id": f"r/{number}",
            "group": str(number),
            "split": ("train", "test")[number // 3 % 2],
            "source": ("here", "there")[number % 2],
        }
        row |= {"text": text, "label": label, "domain": label, "task": label, "kind": ("harmful", "harmless", "toxic")[number % 3]}
        row |= {"messages": [*asked, {"role": "assistant", "content": text}], "prompt": asked, "chosen": text, "rejected": text[::-1]}
        rows.append(row | {"media": media.as_png(picture)})
    data = {"max_length": 16, "parts": {"domain": {"data": {"where": {"source": ["here"]}}}}}
    return {"model": decoder(300), **chat.example(), "rows": rows, "option": None, "data": data, "settings": {}}


def drawings() -> dict[str, Any]:
    """Return a processor of grey images and the data of their classes, for evaluations."""
    from fmcycle.processor.image import image

    return {"processor": image([], size=8, channels=1), "option": "images", "data": {"classes": "label"}}


def guardrail() -> dict[str, Any]:
    """A text that every guard passes."""
    return {"text": "How does a queue keep its messages in order?"}


def monitor() -> dict[str, Any]:
    """Sixty chats as reference, and forty as window whose prompts are longer and in German."""
    import polars as pl

    before = [(f"How do I list the objects of bucket {n}?", "Call the operation that lists them.") for n in range(60)]
    now = [(f"Wie kann ich die Nachrichten in der Schlange {n} lesen und nicht löschen?" * 3, "I can't help with that.") for n in range(40)]
    reference, window = (pl.DataFrame(rows, schema=["prompt", "answer"], orient="row") for rows in (before, now))
    n = pl.int_range(pl.len())
    return {"reference": reference, "window": window.with_columns(refused=n % 2 == 0, rating=n % 3 - 1, latency=n / 10)}


def processor() -> dict[str, Any]:
    """Texts to learn a vocabulary from, and a row with every column that a text format reads."""
    asked = [{"role": "user", "content": "What does a queue hold?"}]
    answer = "It holds the messages of a service."
    messages = [*asked, {"role": "assistant", "content": answer}]
    row = {"id": "r/0", "text": answer, "messages": messages, "prompt": asked, "chosen": answer, "rejected": "Nothing.", "label": "queue"}
    return {"texts": [text for _, text, _ in TEXTS], "row": row, "messages": messages}
