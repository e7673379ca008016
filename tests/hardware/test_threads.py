"""Threads: as many as one may use, told before torch is imported, and what a person set stays."""

import os
import subprocess
import sys

import pytest

from fmcycle.hardware import threads

CODE = "from fmcycle.hardware import threads; print(threads.settle()); import torch; print(torch.get_num_threads())"


def settled(*before: str, **environment) -> list[str]:
    """What a new process says, and how many threads torch has there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    command = [*before, sys.executable, "-c", CODE]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=True).stdout.splitlines()


def test_torch_takes_the_cores_of_the_affinity():
    all_of_them = len(os.sched_getaffinity(0))
    assert settled() == [f"{all_of_them} thread{'s' if all_of_them > 1 else ''} of {os.cpu_count()} cores", str(all_of_them)]
    one = str(min(os.sched_getaffinity(0)))
    assert settled("taskset", "-c", one) == [f"1 thread of {os.cpu_count()} cores", "1"]


def test_what_a_person_set_stays():
    assert settled(OMP_NUM_THREADS="1") == ["1 thread (OMP_NUM_THREADS)", "1"]


@pytest.mark.parametrize(
    ("name", "content", "period", "cores"),
    [
        ("cpu.max", "max 100000\n", None, None),
        ("cpu.max", "250000 100000\n", None, 2),
        ("cpu.max", "50000 100000\n", None, 1),
        ("cpu.max", "nonsense\n", None, None),
        ("cpu.cfs_quota_us", "-1\n", "100000", None),
        ("cpu.cfs_quota_us", "400000\n", "100000", 4),
    ],
)
def test_a_quota_of_the_cgroup_is_whole_cores(tmp_path, name, content, period, cores):
    (tmp_path / name).write_text(content)
    if period:
        (tmp_path / "cpu.cfs_period_us").write_text(period)
    assert threads.quota((str(tmp_path / name),)) == cores
    assert threads.quota((str(tmp_path / "nowhere"),)) is None


def test_waiting_is_bounded_unless_a_person_says_how(monkeypatch):
    for given, wanted in (({}, threads.SPIN), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, None)):
        for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        threads.settle()
        assert os.environ.get("GOMP_SPINCOUNT") == wanted
