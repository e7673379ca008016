"""The components of a processor: tokenizer, image processor, feature extractor, alone or combined in a transformers Processor."""

from typing import Any

from fmcycle.errors import InputError
from fmcycle.processor import template


def tokenizer_of(processor: Any) -> Any:
    """Return the tokenizer of `processor`, or None."""
    return processor if hasattr(processor, "convert_tokens_to_ids") else getattr(processor, "tokenizer", None)


def image_processor_of(processor: Any) -> Any:
    """Return the component that turns images into `pixel_values`, or None."""
    return processor if hasattr(processor, "image_mean") else getattr(processor, "image_processor", None)


def feature_extractor_of(processor: Any) -> Any:
    """Return the component that turns audio into `input_features` or `input_values`, or None."""
    return processor if hasattr(processor, "sampling_rate") else getattr(processor, "feature_extractor", None)


def special_ids(processor: Any) -> set[int]:
    """Return the ids of the special tokens; empty without a tokenizer."""
    return {index for index, token in getattr(tokenizer_of(processor), "added_tokens_decoder", {}).items() if token.special}


def pad(processor: Any) -> int:
    """Return the id of the padding token; 0 without a tokenizer."""
    found = getattr(tokenizer_of(processor), "pad_token_id", None)
    return 0 if found is None else found


def image_ids(processor: Any) -> list[int]:
    """Return the placeholder ids of one image in a text. Raises InputError if the processor has no image token."""
    if not hasattr(processor, "replace_image_token"):
        raise InputError("an image in a message, but the processor has no image token: choose processor=llava or a model of that kind")
    from PIL import Image

    image_processor = image_processor_of(processor)
    pixels = image_processor(images=[Image.new("RGB" if len(image_processor.image_mean) == 3 else "L", (8, 8))], return_tensors="np")
    count = processor.replace_image_token(pixels, 0).count(processor.image_token)
    return [processor.image_token_id] * count


def chat_template(processor: Any) -> str | None:
    """Return the chat template, the one named `default` if there are several; None without one."""
    found = getattr(processor, "chat_template", None) or getattr(tokenizer_of(processor), "chat_template", None)
    return found.get("default") if isinstance(found, dict) else found


def ends(processor: Any) -> set[int]:
    """Return the ids that end an answer: end of text, and the end of turn that the chat template writes."""
    tokenizer, found = tokenizer_of(processor), chat_template(processor)
    turn = template.end_of_turn(tokenizer, found, len(tokenizer)) if found else None
    return {tokenizer.eos_token_id, turn} - {None, tokenizer.unk_token_id}
