"""Remove personal data and secrets from texts: mask them, replace them by pseudonyms, or drop the document."""

import hmac
import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Literal

import polars as pl

from fmcycle.errors import InputError
from fmcycle.pii import detect
from fmcycle.ranges import ExistingPath

SHORT = 16  # bytes: a shorter key could be guessed


def mask(
    frame: pl.DataFrame,
    *,
    key: Literal["mask", "hash", "drop", "keep"] = "mask",
    email: Literal["mask", "hash", "drop", "keep"] = "mask",
    iban: Literal["mask", "hash", "drop", "keep"] = "mask",
    card: Literal["mask", "hash", "drop", "keep"] = "mask",
    national_id: Literal["mask", "hash", "drop", "keep"] = "mask",
    phone: Literal["mask", "hash", "drop", "keep"] = "mask",
    ip: Literal["mask", "hash", "drop", "keep"] = "mask",
    secret: ExistingPath | None = None,
) -> pl.DataFrame:
    """Treat each kind by its action: `mask` writes <email>, `hash` <email:1f0a...>, `drop` drops the document, `keep` changes nothing.

    hash: equal addresses get equal pseudonyms, which can't be computed without `secret`, a file of 16 bytes or more; another secret needs
    another file name, as the file's content is not part of any digest. `count:KIND` is the number of spans. Masking twice changes nothing.
    """
    actions: dict[str, str] = {"key": key, "email": email, "iban": iban, "card": card, "national_id": national_id, "phone": phone, "ip": ip}
    actions = {kind: action for kind, action in actions.items() if action != "keep"}
    names = [name for kind in actions for name in detect.rules(kind)]
    write = Writer(actions, _secret(secret) if "hash" in actions.values() else b"")
    hints = frame.select(pl.col("text").str.contains(detect.RULES[name].hint).alias(name) for name in names)
    places = hints.select(pl.any_horizontal(pl.all()).arg_true()).to_series() if names else pl.Series([], dtype=pl.UInt32)
    texts = []
    for text, flags in zip(frame["text"].gather(places), hints[places].iter_rows(), strict=True):  # few texts go through Python
        texts.append(detect.replace(text, itertools.compress(names, flags), write))
        write.next()
    found = pl.DataFrame({f"count:{kind}": counts for kind, counts in write.counts.items()}).cast(pl.UInt32)
    return _drop(_put(frame, places, found.with_columns(text=pl.Series(texts, dtype=pl.String))), actions)


class Writer:
    """(kind, span) -> the replacement of the span; `counts`: {kind: number of spans of each text}."""

    def __init__(self, actions: dict[str, str], secret: bytes):
        self.actions, self.secret = actions, secret
        self.counts: dict[str, list[int]] = {kind: [] for kind in actions}
        self.current = Counter[str]()

    def __call__(self, kind: str, span: str) -> str:
        self.current[kind] += 1
        if self.actions[kind] != "hash":
            return f"<{kind}>"
        plain = span.lower() if kind in ("email", "ip") else span if kind == "key" else re.sub(r"[^A-Za-z0-9]", "", span)
        return f"<{kind}:{hmac.digest(self.secret, plain.encode(), 'sha256').hex()[:12]}>"

    def next(self) -> None:
        """End a text: store its counts."""
        for kind, counts in self.counts.items():
            counts.append(self.current[kind])
        self.current.clear()


def _put(frame: pl.DataFrame, places: pl.Series, found: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the columns of `found` in the rows `places`; other rows keep their text and get the count 0."""
    columns = [pl.zeros(frame.height, dtype=pl.UInt32, eager=True).scatter(places, found[name]).alias(name) for name in found.columns[:-1]]
    whole = frame["text"] if places.is_empty() else frame["text"].scatter(places, found["text"])
    return frame.with_columns(*columns, whole.alias("text"))


def _drop(frame: pl.DataFrame, actions: dict[str, str]) -> pl.DataFrame:
    """Set reason, rule and value of documents with a kind whose action is drop; add no columns if no kind has that action."""
    kinds = [kind for kind, action in actions.items() if action == "drop"]
    if not kinds:
        return frame
    has = {kind: pl.col(f"count:{kind}") > 0 for kind in kinds}
    return frame.with_columns(
        reason=pl.when(pl.any_horizontal(*has.values())).then(pl.lit("personal data")),
        rule=pl.coalesce(*(pl.when(found).then(pl.lit(f"{kind} > 0")) for kind, found in has.items())),
        value=pl.coalesce(*(pl.when(found).then(pl.col(f"count:{kind}").cast(pl.String)) for kind, found in has.items())),
    )


def _secret(file: str | None) -> bytes:
    """The key of the pseudonyms. Raises InputError if there is no file, or it is too short."""
    if file is None or not Path(file).is_file():
        raise InputError(
            f"privacy: `hash` needs secret=FILE, and {file} is not a file; make one with `head -c 32 /dev/urandom > FILE`, outside of git"
        )
    content = Path(file).read_bytes()
    if len(content) < SHORT:
        raise InputError(f"privacy: {file} has {len(content)} bytes; a key of less than {SHORT} could be guessed")
    return content
