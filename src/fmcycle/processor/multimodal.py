"""Processors of two components: a tokenizer trained on the captions, and one for images or audio."""

from collections.abc import Iterable
from pathlib import Path

from fmcycle.artifact import folder as artifact
from fmcycle.processor import store
from fmcycle.processor.bpe import bpe
from fmcycle.processor.image import image
from fmcycle.ranges import ExistingPath, PositiveInt

IMAGE = "<image>"


def clip(
    texts: Iterable[str],
    *,
    size: PositiveInt = 32,
    channels: PositiveInt = 3,
    vocab_size: PositiveInt = 2048,
    min_frequency: PositiveInt = 2,
):
    """Return a transformers CLIPProcessor: images as in `image`, byte-level BPE, and an end of text after every text.

    CLIP takes a text's embedding from its end of text; text-conditioned diffusion uses the same processor.
    """
    from transformers import CLIPProcessor

    tokenizer = ending(bpe(texts, vocab_size=vocab_size, min_frequency=min_frequency))
    return CLIPProcessor(image(texts, size=size, channels=channels), tokenizer)


def ending(tokenizer):
    """Set up `tokenizer` to append its end of text to every text, and return it."""
    from tokenizers.processors import TemplateProcessing

    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    return tokenizer


def whisper(
    texts: Iterable[str],
    *,
    rate: PositiveInt = 16000,
    mels: PositiveInt = 80,
    seconds: PositiveInt = 30,
    vocab_size: PositiveInt = 512,
    min_frequency: PositiveInt = 2,
):
    """Return a transformers WhisperProcessor: log-mel spectrograms of `seconds` (100 frames each) and byte-level BPE of transcripts."""
    from transformers import WhisperFeatureExtractor, WhisperProcessor

    extractor = WhisperFeatureExtractor(feature_size=mels, sampling_rate=rate, hop_length=rate // 100, chunk_length=seconds)
    return WhisperProcessor(extractor, bpe(texts, vocab_size=vocab_size, min_frequency=min_frequency))


def llava(
    texts: Iterable[str],
    *,
    size: PositiveInt = 32,
    patch_size: PositiveInt = 8,
    channels: PositiveInt = 3,
    vocab_size: PositiveInt = 2048,
    min_frequency: PositiveInt = 2,
    tokenizer: ExistingPath | None = None,
):
    """Return a transformers LlavaProcessor: an image is (size / patch_size) ** 2 tokens `<image>` in a conversation.

    tokenizer: the folder of the language model, whose tokenizer gets `<image>` as one more token; null: train one on `texts`, with
    `vocab_size` tokens including `<image>`.
    """
    from transformers import LlavaProcessor

    if tokenizer is None:
        words = bpe(texts, vocab_size=vocab_size - 1, min_frequency=min_frequency)
    else:
        artifact.verify(Path(tokenizer))
        words = store.load_processor(tokenizer)
    words.add_tokens([IMAGE], special_tokens=True)
    return LlavaProcessor(
        image(texts, size=size, channels=channels),
        words,
        patch_size=patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the encoder's class token, which "default" drops again
        chat_template=words.chat_template,
        image_token=IMAGE,
    )
