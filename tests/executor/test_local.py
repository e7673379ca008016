import os

import pytest
from in_worker import about

from fmcycle.config import compose, selection
from fmcycle.errors import InputError
from fmcycle.executor.local import Local


def test_one_worker_is_this_process():
    with Local(1) as executor:
        assert [(item, process) for item, _, process in executor.map(about, "abc")] == [(item, os.getpid()) for item in "abc"]


def test_workers_are_processes_of_one_thread_and_answer_in_order():
    with Local(2) as executor:
        found = list(executor.map(about, range(20)))
        assert [item for item, _, _ in found] == list(range(20)) and {threads for _, threads, _ in found} == {1}
        assert os.getpid() not in {process for _, _, process in found}
        with pytest.raises(ValueError, match="no such shard"):
            list(executor.map(about, [1, "fail", 2]))
        with pytest.raises(InputError, match=r"a worker process was killed.*executor\.shard_mb"):
            list(executor.map(about, [1, "die", 2]))


def test_where_it_runs_is_never_identity(project):
    plain = compose.compose(["stage=curate"])
    for how in (["executor=ray"], ["executor.workers=8", "executor.shard_mb=2"]):
        assert compose.compose(["stage=curate", *how]).section == plain.section
    (project / "local.yaml").write_text("executor: ray\nexecutor.workers: 4\n")
    assert selection.local() == ["executor=ray", "executor.workers=4"]
