"""processor: train the tokenizer (with its chat template) or another processor on the texts of the train split."""

from dataclasses import dataclass

import polars as pl

from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import Node

NEEDS = (("documents", "examples"),)  # either of them


@dataclass
class Config:
    """`processor`: (texts) -> processor, an option of conf/processor. inputs: `documents`, or `examples`, whose texts are captions."""

    inputs: dict
    out: str
    processor: Node
    minutes: float = 0.5


def run(cfg: Config) -> None:
    """Train `cfg.processor` on the texts of inputs.examples if set, else of inputs.documents; write a transformers folder."""
    texts = (
        pl.scan_parquet(cfg.inputs.get("examples") or cfg.inputs["documents"]).filter(pl.col("split") == "train").select("text").collect()
    )
    processor = build(cfg.processor)(texts["text"])
    with artifact.create(cfg.out) as partial:
        processor.save_pretrained(partial)
    tokenizer = tokenizer_of(processor)
    tokens = "no tokens" if tokenizer is None else f"{len(tokenizer)} tokens"
    print(f"{tokens} from {len(texts)} texts, {int(texts['text'].str.len_bytes().sum()) / 1e6:.1f} MB")
