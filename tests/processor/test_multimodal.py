import json

import numpy as np

from fmcycle.artifact import folder as artifact
from fmcycle.processor import media, store
from fmcycle.processor.audio import features
from fmcycle.processor.bpe import bpe
from fmcycle.processor.image import caption, conversation
from fmcycle.processor.multimodal import clip, llava, whisper

TEXTS = ["fox: animal, nature, face", "owl: animal, bird, night"] * 4
ROW = {"media": media.as_png(np.random.default_rng(0).uniform(-1, 1, (3, 20, 20))), "text": "an owl"}
SOUND = {"media": media.as_wav(np.sin(np.arange(6000) / 5), 8000), "text": "an owl"}


def reloaded(processor, folder):
    processor.save_pretrained(folder)
    return store.load_processor(folder)


def test_a_processor_comes_back_as_it_was(tmp_path):
    for name, made, use in (
        ("clip", clip(TEXTS, size=16, vocab_size=300), lambda processor: caption(ROW, processor)),
        ("grey", clip(TEXTS, size=8, channels=1, vocab_size=300), lambda processor: caption(ROW, processor)),
        ("llava", llava(TEXTS, size=16, vocab_size=300), lambda processor: conversation(ROW, processor)),
        ("whisper", whisper(TEXTS, seconds=1, vocab_size=300), lambda processor: features(SOUND, processor)),
    ):
        before, after = use(made), use(reloaded(made, tmp_path / name))
        assert all(np.array_equal(before[column], after[column]) for column in before), name
        assert not [file for file in (tmp_path / name).iterdir() if "auto_map" in file.read_text()]


def test_a_language_model_that_is_to_see_keeps_its_tokenizer(tmp_path):
    own = bpe(TEXTS, vocab_size=300)
    with artifact.create(tmp_path / "model") as partial:
        own.save_pretrained(partial)
    processor = llava([], tokenizer=str(tmp_path / "model"), size=16)
    assert len(processor.tokenizer) == len(own) + 1 and processor.image_token_id == len(own)
    assert processor.tokenizer("an owl")["input_ids"] == own("an owl")["input_ids"]
    assert processor.chat_template == own.chat_template
    assert len(llava(TEXTS, vocab_size=270).tokenizer) == 270


def test_the_same_texts_give_the_same_files(tmp_path):
    for name in ("one", "two"):
        clip(TEXTS, vocab_size=300).save_pretrained(tmp_path / name)
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert first == second and json.loads(first["processor_config.json"])["image_processor"]["size"] == {"height": 32, "width": 32}


def test_clip_reads_a_text_off_its_end():
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = clip(TEXTS, vocab_size=300).tokenizer
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    assert ids == {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}  # conf/model/clip_small.yaml has them
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = CLIPTextModel(CLIPTextConfig(vocab_size=300, max_position_embeddings=32, **sizes, **ids)).eval()
    with torch.inference_mode():
        one, other = (
            model(torch.tensor([tokenizer(text)["input_ids"]])).pooler_output for text in ("owl: animal, bird", "owl: animal, face")
        )
    assert not torch.allclose(one, other)  # they begin alike
