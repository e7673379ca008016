"""Pseudo-random choices that are a pure function of a name, so that every run makes the same ones."""

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def digest(name: str) -> int:
    """The first eight bytes of the sha256 of `name`, as a number."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def pick(name: str, options: Sequence[T]) -> T:
    """One of `options`, by the digest of `name`."""
    return options[digest(name) % len(options)]


def sample(items: Sequence[T], count: int, key: Callable[[T], str]) -> list[T]:
    """The `count` items whose `key(item)` has the smallest digest, in that order."""
    return sorted(items, key=lambda item: digest(key(item)))[:count]
