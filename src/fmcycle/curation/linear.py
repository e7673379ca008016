"""A linear classifier on hashed n-grams of words (and letters), trained on two sets of examples."""

import csv
import functools
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fmcycle.curation.shingle import MIX
from fmcycle.curation.word import RUN
from fmcycle.errors import InputError

TOKEN = rf"{RUN}|[^\s\p{{L}}\p{{N}}]"
ROUNDS, RATE, DECAY = 150, 0.5, 0.03


@dataclass(frozen=True)
class Linear:
    """`weights` by hashed n-gram (float64, their number a power of two) and `bias`, for n-grams of up to `ngram` words and of 2 to
    `letters` letters, hashed with `seed`."""

    weights: np.ndarray
    bias: float
    ngram: int
    characters: int
    seed: int
    letters: int = 0

    def score(self, texts: pl.Series) -> np.ndarray:
        """The probability that each text belongs to the first set, in [0, 1]; 0.5 for a text without words."""
        features, place, value = features_of(texts, len(self.weights), self.ngram, self.characters, self.seed, self.letters)
        return sigmoid(
            np.bincount(place, self.weights[features] * value, len(texts)) + self.bias * (np.bincount(place, minlength=len(texts)) > 0)
        )


def sigmoid(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-values)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * values))


def features_of(
    texts: pl.Series, buckets: int, ngram: int, characters: int, seed: int, letters: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bucket, text, value) of every n-gram in the first `characters` of each text; the values give a text's vector about length 1.

    With `letters`, n-grams of 2 to `letters` letters, which a misspelled word shares with the correct one, have the same total weight.
    """
    words = texts.str.slice(0, characters).str.to_lowercase().str.extract_all(TOKEN)
    found = [hashed(words, range(1, ngram + 1), buckets, seed)]
    if letters > 1:
        spelled = pl.select(pl.format(" {} ", words.list.join(" "))).to_series().str.replace("^ +$", "")
        found.append(hashed(spelled.str.extract_all("(?s)."), range(2, letters + 1), buckets, seed + 1))
    values = [1 / np.sqrt(len(found) * np.bincount(rows, minlength=len(texts)))[rows] for _, rows in found]
    return np.concatenate([features for features, _ in found]), np.concatenate([rows for _, rows in found]), np.concatenate(values)


def hashed(tokens: pl.Series, sizes: range, buckets: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(bucket, text) of every n-gram of each text's tokens, for each n in `sizes`."""
    counts = tokens.list.len().fill_null(0).to_numpy().astype(np.int64)
    hashes = tokens.explode(empty_as_null=False, keep_nulls=False).hash(seed).to_numpy()
    place = np.repeat(np.arange(len(counts)), counts)
    found, where = [], []
    for n in sizes:
        own = grams(hashes, n)
        inside = place[: len(own)] == place[len(place) - len(own) :]
        found.append(own[inside] >> np.uint64(65 - buckets.bit_length()))
        where.append(place[: len(own)][inside])
    return np.concatenate(found).astype(np.int64), np.concatenate(where)


def grams(hashes: np.ndarray, n: int) -> np.ndarray:
    """One hash for each n-gram."""
    count = max(0, len(hashes) - n + 1)
    mixed = hashes[:count].copy()
    for shift in range(1, n):
        mixed *= MIX
        mixed += hashes[shift : shift + count]
    return mixed * MIX


def train(first: list[str], second: list[str], *, buckets: int, ngram: int, characters: int, seed: int, letters: int = 0) -> Linear:
    """Logistic regression that separates `first` from `second`, both with the same total weight, in full batches, so that the same
    examples and seed give the same model."""
    texts, labels = pl.Series([*first, *second], dtype=pl.String), np.repeat([1.0, 0.0], [len(first), len(second)])
    share = np.where(labels == 1, 0.5 / len(first), 0.5 / len(second))
    features, place, value = features_of(texts, buckets, ngram, characters, seed, letters)
    used, compact = np.unique(features, return_inverse=True)
    weights, squares, bias, bias_square = np.zeros(len(used)), np.full(len(used), 1e-12), 0.0, 1e-12
    for _ in range(ROUNDS):
        error = (sigmoid(np.bincount(place, weights[compact] * value, len(texts)) + bias) - labels) * share
        gradient = np.bincount(compact, error[place] * value, len(used)) + DECAY * weights / len(texts)
        squares += gradient**2
        bias_square += error.sum() ** 2
        weights -= RATE * gradient / np.sqrt(squares)
        bias -= RATE * error.sum() / np.sqrt(bias_square)
    whole = np.zeros(buckets)
    whole[used] = weights
    return Linear(whole, float(bias), ngram, characters, seed, letters)


def trained(first: list, second: list, *, buckets: int, ngram: int, characters: int, seed: int, letters: int = 0) -> Linear:
    """`train` on the texts that `examples` reads, once a process. Raises InputError if a set is empty."""
    return _trained(json.dumps([first, second]), buckets, ngram, characters, seed, letters)


@functools.lru_cache(maxsize=4)
def _trained(named: str, buckets: int, ngram: int, characters: int, seed: int, letters: int) -> Linear:
    heaps = [[text for entry in heap for text in examples(entry)] for heap in json.loads(named)]
    if not all(heaps):
        raise InputError("a learned score needs examples of both kinds; name files or folders of them, as docs/curation.md shows")
    return train(*heaps, buckets=1 << (buckets - 1).bit_length(), ngram=ngram, characters=characters, seed=seed, letters=letters)


def examples(entry: str | dict) -> Iterator[str]:
    """The texts of a file or folder: rows of JSONL, CSV and Parquet, other files whole.

    entry: a path, or {path, text: column (default text), where: {column: value}, lines: true for a text a line}.
    """
    named: dict = {"path": entry} if isinstance(entry, str) else entry
    root = Path(named["path"])
    files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else [root]
    if not root.exists():
        raise InputError(f"{root}: no such file or folder of examples: correct the path where the config names it")
    for file in files:
        for row in rows(file, named.get("lines", False)):
            text = row.get(named.get("text", "text"))
            if (
                isinstance(text, str)
                and text.strip()
                and all(str(row.get(key)) == str(value) for key, value in named.get("where", {}).items())
            ):
                yield text


def rows(file: Path, lines: bool) -> Iterator[dict]:
    """The rows of one file; of a text file the text as one row, or each of its `lines`."""
    if file.suffix == ".parquet":
        yield from pl.read_parquet(file).iter_rows(named=True)
        return
    content = file.read_bytes()
    body = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8", "replace")
    kind = file.name.removesuffix(".gz").rsplit(".", 1)[-1]
    if kind in ("jsonl", "ndjson"):
        yield from (json.loads(line) for line in body.split("\n") if line.strip())
    elif kind == "csv":
        yield from csv.DictReader(body.splitlines())
    else:
        yield from ({"text": text} for text in (body.splitlines() if lines else [body]))
