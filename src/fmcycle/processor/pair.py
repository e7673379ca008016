"""Rows of two sides, of which one is made from the other: for encoder-decoders and for embeddings."""

from fmcycle.processor.chat import plain_ids
from fmcycle.processor.components import tokenizer_of
from fmcycle.processor.text import ids_of


def sides(row: dict) -> tuple[str, str]:
    """(what is asked, the answer) of a row of instructions; several turns before the last are joined by line ends.

    Raises ValueError for a row without messages that end with the assistant's.
    """
    messages = row.get("messages")
    if not messages or len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise ValueError("no pair in it: it needs messages that end with the assistant's; data.path must be a table of instructions")
    return "\n".join(turn["content"] for turn in messages[:-1]), messages[-1]["content"]


def seq2seq(row: dict, processor) -> dict[str, list[int]]:
    """A row of instructions as {"input_ids", "decoder_labels"}, each with the token that ends a text."""
    asked, answer = sides(row)
    tokenizer = tokenizer_of(processor)
    if tokenizer is None or tokenizer.eos_token_id is None:
        raise ValueError("a pair of texts, and the processor has no tokenizer with an end of text: choose processor=bpe")
    end = tokenizer.eos_token_id
    return {"input_ids": [*plain_ids(processor, asked), end], "decoder_labels": [*plain_ids(processor, answer), end]}


def similar(row: dict, processor) -> dict[str, dict[str, list[int]]]:
    """A row of instructions as {"first", "second"}, each {"input_ids"}: two texts that mean the same or belong together."""
    first, second = sides(row)
    return {"first": {"input_ids": ids_of(processor, first)}, "second": {"input_ids": ids_of(processor, second)}}


def example() -> dict:
    """The tokenizer of conversations reads pairs too."""
    from fmcycle.processor import chat

    return chat.example()
