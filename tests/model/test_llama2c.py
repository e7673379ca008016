"""llama2.c's checkpoints; the real one where it lies beside the project, a small one made here everywhere."""

import struct
from pathlib import Path

import pytest
import torch

from fmcycle.errors import InputError
from fmcycle.model.llama2c import llama2c
from fmcycle.processor.llama2c import llama2c as tokenizer

STORIES = Path(__file__).parents[2].parent / "shared/data/model/model-stories260k"
real = pytest.mark.skipif(not STORIES.is_dir(), reason="stories260K is not on this machine: docs/models.md says where it comes from")
OPENING = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball."


@real
def test_the_story_that_llama2c_prints_is_told(tmp_path):
    """Greedy from nothing: the text in the readme of llama2.c's stories260K."""
    model, processor = llama2c(str(STORIES), "stories260K.bin", licence="MIT"), tokenizer(path=str(STORIES), file="tok512.bin")
    assert model.num_parameters() == 260_032
    out = model.generate(torch.tensor([[processor.bos_token_id]]), max_new_tokens=60, do_sample=False)
    assert processor.decode(out[0], skip_special_tokens=True).startswith(OPENING)
    for text in (OPENING, "Größe 漢字", "a  b\n\nc", ""):
        assert processor.decode(processor(text, add_special_tokens=False)["input_ids"]) == text


def checkpoint(folder: Path, vocabulary: int = 12, *, extra: bytes = b"") -> Path:
    """Two layers of 8 dimensions, 2 heads, 1 key-value head."""
    sizes = (8, 16, 2, 2, 1, vocabulary, 6)
    dim, hidden, layers, _, _, _, positions = sizes
    each = dim + dim * dim * 2 + 2 * dim * 4 + dim + 3 * dim * hidden
    count = abs(vocabulary) * dim * (2 if vocabulary < 0 else 1) + layers * each + dim + 2 * positions * 2
    values = torch.randn(count, generator=torch.Generator().manual_seed(0))
    (folder / "tiny.bin").write_bytes(struct.pack("<7i", *sizes) + values.numpy().tobytes() + extra)
    return folder


@pytest.mark.parametrize("vocabulary", [12, -12])
def test_a_small_checkpoint_is_read_whole(tmp_path, vocabulary):
    model = llama2c(str(checkpoint(tmp_path, vocabulary)), "tiny.bin")
    assert model.config.vocab_size == 12 and model.config.tie_word_embeddings == (vocabulary > 0)
    assert torch.isfinite(model(input_ids=torch.arange(6)[None]).logits).all()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    checkpoint(tmp_path, extra=b"more")
    with pytest.raises(InputError, match="its header describes"):
        llama2c(str(tmp_path), "tiny.bin")
    for content, why in ((b"short", "are no llama2.c checkpoint"), (b"x" * 100, "no header of llama2.c")):
        (tmp_path / "tiny.bin").write_bytes(content)
        with pytest.raises(InputError, match=why):
            llama2c(str(tmp_path), "tiny.bin")
    with pytest.raises(InputError, match="the config pins 0000"):
        llama2c(str(tmp_path), "tiny.bin", sha256="0" * 64)


@real
def test_a_tokenizer_that_is_cut_short_is_refused(tmp_path):
    whole = (STORIES / "tok512.bin").read_bytes()
    for content, why in ((whole[:-3], "not a whole tokenizer"), (whole[:100], "not a whole|fewer than"), (whole + whole[4:], "twice")):
        (tmp_path / "tok.bin").write_bytes(content)
        with pytest.raises(InputError, match=why):
            tokenizer(path=str(tmp_path), file="tok.bin")
