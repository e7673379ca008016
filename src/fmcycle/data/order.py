"""Data order: the rows of an optimizer step are a pure function of (seed, epoch, step)."""

import numpy as np

from fmcycle.data.protocol import Ordered, Rows


def shuffled(position: np.ndarray, size: int, key: tuple[int, ...]) -> np.ndarray:
    """Return the image of each position under a random permutation of 0..size-1, seeded by `key`, without storing the permutation.

    A four-round Feistel network over the next even power of two, iterated until the value is below size (Black and Rogaway, 2002).
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = np.random.default_rng(key).integers(0, 2**63, size=4, dtype=np.uint64)
    value = position.astype(np.uint64)
    outside = np.ones(len(value), dtype=bool)
    while outside.any():
        left, right = value[outside] >> np.uint64(half), value[outside] & mask
        for round_key in keys:
            left, right = right, left ^ (_mix(right + round_key) & mask)
        value[outside] = (left << np.uint64(half)) | right
        outside = value >= size
    return value.astype(np.int64)


def _mix(value: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash (Steele et al., 2014, SplitMix)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def step_rows(seed: int, step: int, global_batch: int, size: int) -> np.ndarray:
    """Return the rows (global_batch,) of optimizer step `step`: each of the `size` rows once an epoch, each epoch in another order."""
    position = np.arange(step * global_batch, (step + 1) * global_batch, dtype=np.int64)
    rows = np.empty_like(position)
    for epoch in np.unique(position // size):
        here = position // size == epoch
        rows[here] = shuffled(position[here] % size, size, (seed, int(epoch)))
    return rows


def rows_of_step(rows: Rows, seed: int, step: int, global_batch: int) -> np.ndarray:
    """Return the rows (global_batch,) of optimizer step `step`: by `rows.step` if `rows` is Ordered (a mixture), else shuffled."""
    return rows.step(seed, step, global_batch) if isinstance(rows, Ordered) else step_rows(seed, step, global_batch, len(rows))


def held_out(rows: Rows, count: int) -> np.ndarray:
    """Return the rows that validation reads: the first `count`; of a mixture `count` rows in its shares."""
    count = min(count, len(rows))
    return rows.step(0, 0, count) if isinstance(rows, Ordered) else np.arange(count)
