"""A run that begins at step 0 beside one that stopped says so, and how the other goes on."""

from pathlib import Path

import yaml

from fmcycle.runner.stopped import beside

CONFIG = {"optimizer": {"lr": 0.001, "groups": {}}, "budget": {"max_steps": 3000}, "out": "a", "runs": "b", "trainer": {"devices": 1}}


def write(folder: Path, config: dict, *steps: int) -> Path:
    for step in steps:
        (folder / f"step-{step:08d}").mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_the_nearest_run_that_stopped_is_named_with_what_differs(tmp_path):
    stopped = write(tmp_path / "a", CONFIG, 100, 300)
    write(tmp_path / "ended", CONFIG | {"optimizer": {"lr": 0.003, "groups": {}}})
    write(tmp_path / "far", {"optimizer": {"lr": 0.003}, "data": {str(number): number for number in range(9)}}, 10)
    write(tmp_path / "farther", CONFIG | {"optimizer": {"lr": 0.5, "groups": {}}, "budget": {"max_steps": 5}}, 10)
    changed = CONFIG | {"optimizer": {"lr": 0.003, "groups": {}}, "out": "c", "runs": "d", "trainer": {"devices": 2}}
    line = beside(changed, write(tmp_path / "b", changed))
    assert line == (
        f"{stopped} stopped at step 300 with optimizer.lr=0.001; this run, with optimizer.lr=0.003, begins at step 0; "
        f"optimizer.lr=0.001 goes on from there; init_from={stopped} begins from its step 300"
    )


def test_nothing_is_said_where_it_goes_on_by_itself_or_nothing_stopped(tmp_path):
    assert beside(CONFIG, tmp_path / "none") is None
    own = write(tmp_path / "own", CONFIG, 5)
    assert beside(CONFIG, own) is None
    other = write(tmp_path / "other", CONFIG)
    assert "same settings but other code or inputs" in beside(CONFIG, other)
