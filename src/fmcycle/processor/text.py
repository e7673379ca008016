"""Texts as token ids, as the engines that read whole texts make them: with what the tokenizer itself puts round a text."""

from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import PositiveInt


def ids_of(processor, text: str) -> list[int]:
    """Token ids of `text`; special tokens that are written in it are plain text. Raises ValueError where the processor has no tokenizer."""
    tokenizer = tokenizer_of(processor)
    if tokenizer is None:
        raise ValueError("a text, and the processor has no tokenizer: choose processor=bpe or another that has one")
    return tokenizer(text, split_special_tokens=True)["input_ids"]


def said(row: dict, until: str | None, column: str = "text") -> str:
    """What the row has in `column`, or what stands before `until` in it. Raises ValueError for a row that has no such column."""
    if column not in row:
        raise ValueError(f"no text in it: it has no column {column}; data.path must be a table of documents or examples")
    text = row[column] or ""
    return (text if until is None else text.partition(until)[0]).strip()


def document(row: dict, processor, *, longest: PositiveInt | None = None) -> dict[str, list[int]] | None:
    """A row with `text` as {"input_ids"}, cut after `longest` tokens where it is given; None for an empty one, which is left out."""
    text = said(row, None)
    return {"input_ids": ids_of(processor, text)[:longest]} if text else None


def example() -> dict:
    """The tokenizer of conversations reads texts too."""
    from fmcycle.processor import chat

    return chat.example()
