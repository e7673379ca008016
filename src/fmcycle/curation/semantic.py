"""Semantic duplicates: documents with similar embeddings, by their cosine."""

import functools
from dataclasses import dataclass

import numpy as np
import polars as pl

from fmcycle.curation.corpus_step import Fetch
from fmcycle.model.inputs import batched, placed
from fmcycle.ranges import ExistingPath, Fraction, NonNegativeInt, PositiveInt

BLOCK = 1024  # rows compared at a time
LETTERS = 4  # characters of a token, about; sets the length of pieces


@dataclass(frozen=True)
class Semantic:
    """Corpus step: drop each document whose embedding has a cosine of `threshold` to an earlier kept one's; `value` is the kept one's id.

    model: the folder of a transformers encoder (a sentence encoder such as MiniLM). An embedding is the mean of its last hidden states over
    `max_length` tokens; for a longer text the mean over up to `windows` pieces from its begin to its end, as issues of one newsletter begin
    with the same page. All pairs are compared; with `bits` b only pairs on the same side of b random planes in one of `tables` sets of
    planes, which costs 2^b / tables times less and misses some pairs.
    Source: Abbas et al., SemDeDup (2023), with random planes (Charikar, 2002) for clusters; Reimers and Gurevych (2019) for the mean.
    """

    model: ExistingPath
    threshold: Fraction = 0.95
    max_length: PositiveInt = 256
    windows: PositiveInt = 4
    batch_size: PositiveInt = 32
    bits: NonNegativeInt = 0
    tables: PositiveInt = 1
    seed: NonNegativeInt = 0

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line a document and table: `part` encodes the table and the side of each plane, `embedding` has length 1."""
        found = embeddings(frame["text"].to_list(), self.model, self.max_length, self.windows, self.batch_size)
        planes = np.random.default_rng(self.seed).standard_normal((found.shape[1], self.tables * self.bits))
        side = (found @ planes > 0).reshape(len(found), self.tables, self.bits)
        part = (side * (1 << np.arange(self.bits))).sum(2) + np.arange(self.tables) * (1 << self.bits)
        lines = [
            pl.DataFrame({"row": frame["row"], "part": part[:, table].astype(np.uint32), "embedding": found})
            for table in range(self.tables)
        ]
        return pl.concat(lines)

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """(row, original, cosine) of each row that is near an earlier row of this part which is itself near none."""
        vectors, rows = frame["embedding"].to_numpy().astype(np.float32), frame["row"].to_numpy()
        kept, found = np.zeros(0, np.int64), []
        for begin in range(0, len(rows), BLOCK):
            block = vectors[begin : begin + BLOCK]
            own: list[int] = []
            earlier = block @ vectors[kept].T
            among = block @ block.T
            for place in range(len(block)):
                near = kept[np.flatnonzero(earlier[place] >= self.threshold)]
                near = near if len(near) else begin + np.array(own, np.int64)[among[place, own] >= self.threshold]
                if len(near):
                    found.append((rows[begin + place], rows[near[0]], float(vectors[near[0]] @ block[place])))
                else:
                    own.append(place)
            kept = np.concatenate([kept, begin + np.array(own, np.int64)])
        return pl.DataFrame(found, schema={"row": pl.UInt64, "original": pl.UInt64, "cosine": pl.Float64}, orient="row")

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """Drop each row for the first kept one; with several tables, a row that is near only to dropped rows stays."""
        went: dict[int, int] = {}
        for row, original in settled.sort("row", "original").select("row", "original").iter_rows():
            if row not in went and original not in went:
                went[row] = original
        found = pl.DataFrame({"row": list(went), "original": list(went.values())}, schema={"row": pl.UInt64, "original": pl.UInt64})
        return found.with_columns(reason=pl.lit("semantic duplicate"), rule=pl.lit(f"cosine >= {self.threshold}"))


def embeddings(texts: list[str], model: str, max_length: int, windows: int, batch_size: int) -> np.ndarray:
    """float32 (texts, width): the normalized mean over a text's pieces."""
    cut = [pieces(text, LETTERS * max_length, windows) for text in texts]
    place = np.repeat(np.arange(len(texts)), [len(each) for each in cut])
    own = of_pieces([piece for each in cut for piece in each], model, max_length, batch_size)
    found = np.zeros((len(texts), own.shape[1]), np.float32)
    np.add.at(found, place, own)
    return (found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)).round(5)


def pieces(text: str, size: int, windows: int) -> list[str]:
    """The text, or up to `windows` pieces of `size` characters, the first at its begin, the last at its end."""
    count = min(windows, -(-len(text) // size))
    if count <= 1:
        return [text]
    return [text[start : start + size] for start in ((len(text) - size) * number // (count - 1) for number in range(count))]


def of_pieces(texts: list[str], model: str, max_length: int, batch_size: int) -> np.ndarray:
    """`embeddings` of the first `max_length` tokens. They depend on the text alone: batches are padded, and padding is masked."""
    import torch

    encoder, processor = load(model)
    found = np.zeros((len(texts), encoder.config.hidden_size), np.float32)
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # similar lengths together, for little padding
    for chosen in batched(order, batch_size):
        batch = processor([texts[place] for place in chosen], truncation=True, max_length=max_length, padding=True, return_tensors="pt")
        with torch.inference_mode():
            read = placed(encoder, {name: batch[name] for name in ("input_ids", "attention_mask")})
            hidden = encoder(**read).last_hidden_state
        weight = read["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        # rounded, because embeddings differ by rounding errors between batches
        found[chosen] = torch.nn.functional.normalize(mean.float(), dim=-1).cpu().numpy().round(5)
    return found


@functools.lru_cache(1)
def load(model: str):
    """(encoder, tokenizer) of a transformers folder on this machine."""
    from transformers import AutoModel, AutoTokenizer

    return AutoModel.from_pretrained(model, local_files_only=True).eval(), AutoTokenizer.from_pretrained(model, local_files_only=True)
