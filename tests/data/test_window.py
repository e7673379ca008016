import numpy as np
import pytest

from fmcycle.data import token_shards
from fmcycle.data.order import step_rows
from fmcycle.data.window import Windows, seen
from fmcycle.errors import InputError


@pytest.fixture
def folder(tmp_path):
    token_shards.write(tmp_path / "train", [(str(n), [n] * 5) for n in range(20)], vocab_size=50)
    return str(tmp_path)


def test_rows_are_windows_one_after_the_other_with_their_documents(folder):
    rows = Windows(folder, max_length=10)("train", None)
    assert len(rows) == 10
    assert rows[1].tolist() == [2] * 5 + [3] * 5 and rows.documents(1) == ["2", "3"]
    assert rows.collate([rows[0], rows[9]])["input_ids"].shape == (2, 10)


def test_seen_is_what_the_steps_read_each_once(folder):
    rows = Windows(folder, max_length=10)("train", None)
    read = {int(index) for step in range(3) for index in step_rows(4, step, 2, len(rows))}
    windows = seen(data=Windows(folder, max_length=10), max_steps=3, global_batch=2, seed=4)
    assert (windows == np.stack([rows[index] for index in sorted(read)])).all()


def test_too_little_text_for_one_window_says_so(folder):
    with pytest.raises(InputError, match=r"lower data\.max_length"):
        Windows(folder, max_length=101)("train", None)
