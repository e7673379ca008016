"""How fast a machine works, kept: one number for what one number is."""

import json
import time

import psutil
import torch

from fmcycle.hardware import peak, throughput

BF16, FP32 = 989e12, 67e12


def test_a_gpus_rate_of_products_is_that_of_the_precision_whatever_was_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("_bandwidth", "_calls", "_functions"):
        monkeypatch.setattr(throughput, name, lambda *_: 1.0)
    monkeypatch.setattr(throughput, "name", lambda device, **_: {"device": "a GPU"})
    monkeypatch.setattr(peak, "peak", lambda device, precision: FP32 if precision == "32-true" else BF16)
    throughput.rates.cache_clear()
    found = [throughput.rates(torch.device("cuda"), precision)["flops"] for precision in ("bf16-mixed", "32-true", "bf16-mixed")]
    throughput.rates.cache_clear()
    assert found == [BF16, FP32, BF16]
    assert "flops" not in json.loads(throughput.CACHE.read_text())[json.dumps({"device": "a GPU"})]


def test_the_age_of_a_process_is_counted_from_its_own_beginning():
    assert abs(throughput.age() - (time.time() - psutil.Process().create_time())) < 2
