import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.data import token_shards
from fmcycle.errors import InputError

DOCUMENTS = [("a", [1, 2, 3, 0]), ("b", [4, 0]), ("c", [5, 6, 7, 8, 9, 0]), ("d", [1, 0])]


def written(folder, **kwargs):
    token_shards.write(folder, DOCUMENTS, **{"vocab_size": 10, "max_tokens": 6} | kwargs)
    return token_shards.Tokens(folder)


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
        token_shards.Tokens(tmp_path)


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
        token_shards.Tokens(tmp_path)


def test_an_empty_shard_is_passed_over_and_an_empty_store_is_refused(tmp_path):
    written(tmp_path / "some")
    np.save(tmp_path / "some/shard-00001.npy", np.zeros(0, np.uint16))
    tokens = token_shards.Tokens(tmp_path / "some")
    assert tokens.window(0, len(tokens)).tolist() == [1, 2, 3, 0, 4, 0, 1, 0]
    token_shards.write(tmp_path / "none", [], vocab_size=10)
    with pytest.raises(InputError, match="its shards hold no token; collect more text"):
        token_shards.Tokens(tmp_path / "none")


def test_another_shards_index_is_refused(tmp_path):
    tokens = written(tmp_path)
    file = tmp_path / "shard-00001.parquet"
    file.write_bytes((tmp_path / "shard-00002.parquet").read_bytes())
    with pytest.raises(InputError, match=r"shard-00001\.parquet: names 2 tokens, shard-00001\.npy has 6: they do not belong together"):
        token_shards.Tokens(tmp_path).documents(0, len(tokens))
    file.unlink()
    with pytest.raises(InputError, match=r"shard-00001\.parquet: not there; run `dvc checkout"):
        token_shards.Tokens(tmp_path).documents(0, len(tokens))


def test_tokens_of_another_processor_are_named_before_the_model_sees_them(tmp_path):
    written(tmp_path)
    assert token_shards.Tokens(tmp_path, vocabulary=10).window(0, 14).max() == 9
    with pytest.raises(InputError, match=r"shard-00001\.npy: token 9 at 4, the processor has 9 tokens: .* run `fmcycle tokens`"):
        token_shards.Tokens(tmp_path, vocabulary=9).window(0, 14)


def test_a_shard_of_another_kind_of_number_is_refused(tmp_path):
    written(tmp_path)
    np.save(tmp_path / "shard-00001.npy", np.ones(6, np.float32))
    with pytest.raises(InputError, match="a token shard is 1-D uint16 or uint32, this is 1-D float32"):
        token_shards.Tokens(tmp_path)


def sparse(folder, gigabytes: int, shards: int = 4) -> None:
    """Shards that hold nothing but zeros and take no place on the disk."""
    folder.mkdir()
    count = gigabytes * 10**9 // 2 // shards
    for number in range(shards):
        with open(folder / f"shard-{number:05d}.npy", "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": (count,)})
            file.truncate(file.tell() + 2 * count)


MEMORY = """
import sys, time
from fmcycle.data.order import rows_of_step
from fmcycle.data.window import Windows

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024

for folder in sys.argv[1:]:
    clock, before = time.perf_counter(), resident()
    rows = Windows(folder, max_length=256)("train", None)
    seconds = time.perf_counter() - clock
    for step in range(10**6, 10**6 + 100):
        batch = rows.collate([rows[int(index)] for index in rows_of_step(rows, 0, step, 64)])
    print(seconds, resident() - before, len(rows))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
def test_a_hundred_gigabytes_open_at_once_and_stay_out_of_memory(tmp_path):
    for size in (1, 100):
        (tmp_path / str(size)).mkdir()
        sparse(tmp_path / f"{size}/train", size)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "1"), str(tmp_path / "100")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    small, large = ([float(value) for value in line.split()] for line in lines)
    assert large[0] < 1 and large[2] > 90 * small[2]
    assert large[1] < 16 * 2**20
