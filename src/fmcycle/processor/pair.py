"""Formats of rows with two texts: source and target for encoder-decoders, similar texts for embeddings."""

from fmcycle.processor.chat import plain_ids
from fmcycle.processor.components import tokenizer_of
from fmcycle.processor.text import ids_of


def sides(row: dict) -> tuple[str, str]:
    """Return (prompt, answer) of a row of instructions; the turns before the last are joined by line breaks.

    Raises ValueError for a row whose messages do not end with the assistant's.
    """
    messages = row.get("messages")
    if not messages or len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise ValueError("its messages do not end with the assistant's, so it is no pair; data.path must be a table of instructions")
    return "\n".join(turn["content"] for turn in messages[:-1]), messages[-1]["content"]


def seq2seq(row: dict, processor) -> dict[str, list[int]]:
    """Return a row of instructions as {"input_ids", "decoder_labels"}, each ending with the end-of-text token."""
    asked, answer = sides(row)
    tokenizer = tokenizer_of(processor)
    if tokenizer is None or tokenizer.eos_token_id is None:
        raise ValueError("a pair of texts needs a tokenizer with an end of text, which the processor lacks: choose processor=bpe")
    end = tokenizer.eos_token_id
    return {"input_ids": [*plain_ids(processor, asked), end], "decoder_labels": [*plain_ids(processor, answer), end]}


def similar(row: dict, processor) -> dict[str, dict[str, list[int]]]:
    """Return a row of instructions as {"first", "second"}, each {"input_ids"}: two texts of the same meaning or topic."""
    first, second = sides(row)
    return {"first": {"input_ids": ids_of(processor, first)}, "second": {"input_ids": ids_of(processor, second)}}


def example() -> dict:
    """Return the example of `chat`, whose tokenizer also encodes pairs."""
    from fmcycle.processor import chat

    return chat.example()
