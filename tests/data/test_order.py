from itertools import pairwise

import numpy as np
import pytest

from fmcycle.data.order import shuffled, step_rows
from fmcycle.data.stream import Stream


@pytest.mark.parametrize("size", [1, 2, 3, 17, 1000])
def test_every_row_comes_once_an_epoch(size):
    assert sorted(shuffled(np.arange(size), size, (0, 0))) == list(range(size))


def test_steps_cut_the_epochs_in_a_row():
    size, batch = 10, 4
    rows = np.concatenate([step_rows(3, step, batch, size) for step in range(5)])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert list(rows[:10]) != list(rows[10:])


def test_the_order_needs_no_history_and_depends_on_the_seed():
    assert (step_rows(1, 7, 8, 5000) == step_rows(1, 7, 8, 5000)).all()
    assert (step_rows(1, 7, 8, 5000) != step_rows(2, 7, 8, 5000)).any()


def test_neighbours_are_spread():
    rows = shuffled(np.arange(10_000), 10_000, (0, 0))
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.05


class Lines:
    """Rows of ragged length, their number as their content."""

    lengths = np.array([3, 9, 1, 7, 5, 2, 8, 4, 6, 1, 1, 2])

    def __len__(self):
        return 12


def micro_batches(world, micro, step=5):
    streams = [Stream(Lines(), seed=0, global_batch=8, micro=micro, rank=rank, world=world, start=0) for rank in range(world)]
    return [part for stream in streams for part in stream.micro_batches(step)]


def test_a_step_has_the_same_rows_for_any_ranks_and_micro_batch():
    expected = sorted(step_rows(0, 5, 8, 12))
    for world, micro in ((1, 8), (1, 2), (2, 4), (2, 1), (4, 2)):
        assert sorted(np.concatenate(micro_batches(world, micro))) == expected


def test_rows_of_like_length_share_a_micro_batch():
    lengths = [sorted(Lines.lengths[part]) for part in micro_batches(1, 2)]
    assert all(later[-1] <= earlier[0] for earlier, later in pairwise(lengths))
