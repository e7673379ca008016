import numpy as np
import pytest

from fmcycle import artifact
from fmcycle.data import shard
from fmcycle.error import InputError

DOCUMENTS = [("a", [1, 2, 3, 0]), ("b", [4, 0]), ("c", [5, 6, 7, 8, 9, 0]), ("d", [1, 0])]


def written(folder, **kwargs):
    shard.write(folder, DOCUMENTS, **{"vocab_size": 10, "max_tokens": 6} | kwargs)
    return shard.Tokens(folder)


def test_shards_hold_the_documents_one_after_the_other(tmp_path):
    tokens = written(tmp_path)
    assert len(tokens.shards) == 3 and tokens.shards[0].dtype == np.uint16
    assert tokens.window(0, len(tokens)).tolist() == [token for _, ids in DOCUMENTS for token in ids]


def test_any_window_names_its_documents(tmp_path):
    tokens = written(tmp_path)
    owner = [name for name, ids in DOCUMENTS for _ in ids]
    for start in range(len(owner)):
        for length in range(1, len(owner) - start + 1):
            assert tokens.documents(start, length) == sorted(set(owner[start : start + length]))
            assert len(tokens.window(start, length)) == length


def test_a_window_past_the_end_is_an_error(tmp_path):
    with pytest.raises(IndexError):
        written(tmp_path).window(10, 5)


def test_a_large_vocabulary_takes_wider_numbers(tmp_path):
    assert written(tmp_path, vocab_size=100_000).shards[0].dtype == np.uint32


def test_a_cut_shard_is_named_with_its_repair(tmp_path):
    written(tmp_path)
    file = tmp_path / "shard-00001.npy"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"shard-00001\.npy: not a token shard"):
        shard.Tokens(tmp_path)


def test_a_flipped_bit_is_seen_by_the_manifest(tmp_path):
    with artifact.create(tmp_path / "tokens") as partial:
        written(partial / "train")
    file = tmp_path / "tokens/train/shard-00000.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00000\.npy: sha256"):
        artifact.verify(tmp_path / "tokens")


def test_no_shards_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no shard"):
        shard.Tokens(tmp_path)
