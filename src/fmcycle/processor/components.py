"""The parts of a processor: a tokenizer, an image processor, a feature extractor, alone or together in one of transformers' Processors."""

from typing import Any

from fmcycle.errors import InputError

ENDS = ("<|end|>", "<|im_end|>")  # what ends a turn in the templates that are known


def tokenizer_of(processor: Any) -> Any:
    """The part that makes token ids of text; None where there is none."""
    return processor if hasattr(processor, "convert_tokens_to_ids") else getattr(processor, "tokenizer", None)


def image_processor_of(processor: Any) -> Any:
    """The part that makes `pixel_values` of pictures; None where there is none."""
    return processor if hasattr(processor, "image_mean") else getattr(processor, "image_processor", None)


def feature_extractor_of(processor: Any) -> Any:
    """The part that makes `input_features` of sound; None where there is none."""
    return processor if hasattr(processor, "sampling_rate") else getattr(processor, "feature_extractor", None)


def pad(processor: Any) -> int:
    """The id that fills rows up; 0 where nothing is tokenized."""
    found = getattr(tokenizer_of(processor), "pad_token_id", None)
    return 0 if found is None else found


def image_ids(processor: Any) -> list[int]:
    """The ids that stand for one picture in a text. Raises InputError for a processor that has no place for pictures in texts."""
    if not hasattr(processor, "replace_image_token"):
        raise InputError("a picture in a text, and the processor has no token that stands for it: choose one for vision and language")
    from PIL import Image

    image_processor = image_processor_of(processor)
    pixels = image_processor(images=[Image.new("RGB" if len(image_processor.image_mean) == 3 else "L", (8, 8))], return_tensors="np")
    count = processor.replace_image_token(pixels, 0).count(processor.image_token)
    return [processor.image_token_id] * count


def ends(processor: Any) -> set[int]:
    """The ids that end an answer: of the text, and of a turn."""
    tokenizer = tokenizer_of(processor)
    found = {tokenizer.eos_token_id, *(tokenizer.convert_tokens_to_ids(text) for text in ENDS)}
    return found - {None, tokenizer.unk_token_id}
