"""benchmarks/gpu.py: the rows that a card is measured by run on the CPU too, with small shapes."""

import json
import math
import os
import subprocess
import sys
import time

import pytest


@pytest.mark.prove
def test_every_row_gives_one_line_with_its_rate_mfu_and_peak(root, tmp_path):
    began = time.monotonic()
    command = [sys.executable, str(root / "benchmarks/gpu.py"), "--tiny"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["row"] for row in rows] == ["pretrain", "lora", "dpo", "evaluate", "serve"]
    for row in rows:
        assert row["precision"] == "bf16-mixed" and row["device"] == "cpu"
        assert all(row[name] > 0 and math.isfinite(row[name]) for name in ("tokens_per_s", "mfu", "peak_gb", "tokens", "seconds")), row
    assert rows[2]["loss"] == pytest.approx(math.log(2), abs=0.1)  # few steps from the reference
    assert time.monotonic() - began < 120
