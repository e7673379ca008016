"""Formats of rows with one text: token ids with the tokens that the tokenizer adds, as engines for whole texts encode them."""

from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import PositiveInt


def ids_of(processor, text: str) -> list[int]:
    """Return the token ids of `text`; special tokens spelled out in it are plain text. Raises ValueError without a tokenizer."""
    tokenizer = tokenizer_of(processor)
    if tokenizer is None:
        raise ValueError("has a text, but the processor has no tokenizer: choose processor=bpe or another that has one")
    return tokenizer(text, split_special_tokens=True)["input_ids"]


def said(row: dict, until: str | None, column: str = "text") -> str:
    """Return the text in `column`, cut before `until` if set. Raises ValueError for a row without that column."""
    if column not in row:
        raise ValueError(f"has no column {column}; data.path must be a table of documents or examples")
    text = row[column] or ""
    return (text if until is None else text.partition(until)[0]).strip()


def document(row: dict, processor, *, longest: PositiveInt | None = None) -> dict[str, list[int]] | None:
    """Return the row's `text` as {"input_ids"}, cut after `longest` tokens if set; None, which leaves the row out, if it is empty."""
    text = said(row, None)
    return {"input_ids": ids_of(processor, text)[:longest]} if text else None


def example() -> dict:
    """Return the example of `chat`, whose tokenizer also encodes texts."""
    from fmcycle.processor import chat

    return chat.example()
