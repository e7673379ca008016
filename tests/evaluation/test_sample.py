"""Samples: the same rows whatever the file's order."""

import polars as pl

from fmcycle.evaluation.sample import Sample


def test_shuffled_files_give_the_same_samples(assistant, material, tmp_path):
    frame = pl.read_parquet(material / "instructions.parquet")
    frame.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "shuffled.parquet")
    paths = (str(material / "instructions.parquet"), str(tmp_path / "shuffled.parquet"))
    first, second = (Sample(path, str(material / "prompts.parquet"), each=2, max_new_tokens=8)(*assistant) for path in paths)
    assert first == second
    assert [row["task"] for row in first].count("method") == 2
