"""tokens: encode the documents into token shards that training reads memory-mapped."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.processor.encode import encoder
from fmcycle.ranges import Node, PositiveInt
from fmcycle.training.recipe import ENCODED_BY

SPLITS = ("train", "validation", "test")


NEEDS = (("documents",), ("processor",))


@dataclass
class Config:
    """`max_tokens`: tokens of the largest shard. `processor`: makes inputs.processor if it is missing."""

    inputs: dict
    out: str
    processor: Node
    max_tokens: PositiveInt = 2**27
    minutes: float = 0.5


def run(cfg: Config) -> None:
    """Encode inputs.documents with inputs.processor; write <split>/shard-*.npy and their document ids."""
    from fmcycle.data import token_shards

    processor = store.load_processor(cfg.inputs["processor"])
    documents = pl.read_parquet(cfg.inputs["documents"], columns=["id", "text", "split"])
    if not len(documents.filter(pl.col("split") == "train")):
        raise InputError(f"{cfg.inputs['documents']}: no document has split `train`; run `fmcycle curate` on more text")
    with artifact.create(cfg.out) as partial:
        atomic.write_json(partial / ENCODED_BY, {"tokenizer": store.tokenizer_digest(cfg.inputs["processor"])})
        for split in SPLITS:
            rows = documents.filter(pl.col("split") == split)
            total = token_shards.write(partial / split, encoded(rows, processor), vocab_size=len(processor), max_tokens=cfg.max_tokens)
            size = rows["text"].str.len_bytes().sum()
            print(f"{split}: {len(rows)} documents, {total} tokens, {size / max(total, 1):.2f} bytes a token")


def encoded(rows: pl.DataFrame, processor, batch: int = 1000) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (id, token ids, the end-of-text token last) of each document.

    A special token that a document spells out is encoded as plain text.
    """
    encode = encoder(processor)
    for part in rows.iter_slices(batch):
        ids, size = encode(part["text"].to_list())
        ended = np.insert(ids, np.cumsum(size), processor.eos_token_id)
        yield from zip(part["id"], np.split(ended, np.cumsum(size + 1)[:-1]), strict=True)
