import polars as pl
import pytest

from fmcycle.curation.split import by_group, split_of


def frame(groups):
    return pl.DataFrame({"group": groups})


def test_a_group_never_straddles_and_the_shares_come_out():
    groups = [f"service/{number % 5000}" for number in range(20_000)]
    found = by_group(frame(groups), validation=0.1, test=0.2)
    assert found.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
    share = dict(found.group_by("split").len().iter_rows())
    assert share["test"] / 20_000 == pytest.approx(0.2, abs=0.02)
    assert share["validation"] / 20_000 == pytest.approx(0.1, abs=0.02)


def test_other_groups_change_nothing():
    few = by_group(frame(["a", "b", "c"]))
    many = by_group(frame(["x", "b", "a", "y", "c"]))
    assert dict(few.iter_rows()).items() <= dict(many.iter_rows()).items()


def test_a_larger_test_share_only_adds_groups():
    names = [str(number) for number in range(500)]
    assert {name for name in names if split_of(name, 0, 0.1) == "test"} < {name for name in names if split_of(name, 0, 0.2) == "test"}


def test_shares_beyond_everything_are_refused():
    with pytest.raises(ValueError, match="more than everything"):
        by_group(frame(["a"]), validation=0.6, test=0.6)


def test_no_rows_no_problem():
    assert by_group(frame([]).cast(pl.String)).columns == ["group", "split"]
