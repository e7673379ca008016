"""Learn the processor (tokenizer and chat template) from the train split of the documents."""

from dataclasses import dataclass

import polars as pl

from fmcycle import artifact
from fmcycle.build import build


@dataclass
class Config:
    """`processor` is a node of conf/processor: (texts) -> tokenizer."""

    inputs: dict
    out: str
    processor: dict
    minutes: float = 0.5


def run(cfg: Config) -> None:
    """Train `cfg.processor` on inputs.documents; write a transformers tokenizer folder."""
    documents = pl.scan_parquet(cfg.inputs["documents"]).filter(pl.col("split") == "train").select("text").collect()
    processor = build(cfg.processor)(documents["text"])
    with artifact.create(cfg.out) as partial:
        processor.save_pretrained(partial)
    print(f"{len(processor)} tokens from {len(documents)} documents, {int(documents['text'].str.len_bytes().sum()) / 1e6:.1f} MB of text")
