"""MFU's two halves: the FLOPs of a token, and the rate that a device reaches at best."""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from trained import make_model, with_adapter, without_dropout

from fmcycle.hardware import peak


@pytest.mark.parametrize("tied", [True, False])
def test_flops_of_a_token_are_those_that_torch_counts(tied):
    model = make_model(attention_dropout=0.0, tie_word_embeddings=tied)
    ids = torch.randint(2, 64, (2, 32))
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model(input_ids=ids, use_cache=False).logits.sum().backward()
    # torch counts attention whole, without its causal half
    whole = counter.get_total_flops() / ids.numel()
    attention = 12 * 2 * 32 * 32
    assert peak.flops_per_token(model, 32) + attention / 2 == pytest.approx(whole, rel=0.02)


def test_frozen_weights_have_no_gradient_to_pay_for():
    full, adapted = peak.flops_per_token(without_dropout(), 16), peak.flops_per_token(with_adapter(), 16)
    assert 0.6 * full < adapted < 0.9 * full


def test_the_best_rate_ever_seen_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cpu = torch.device("cpu")
    monkeypatch.setattr(peak, "QUIET", 0.0)  # whatever else this machine does
    assert peak.peak(cpu, "32-true") > 1e9
    ((key, _),) = json.loads(peak.CACHE.read_text()).items()
    peak.CACHE.write_text(json.dumps({key: 1e18}))
    assert peak.peak(cpu, "bf16-mixed") == 1e18


ALONE = """
import os, sys, torch
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
torch.set_num_threads(1)
from fmcycle.hardware import peak
print(max(peak.measured(torch.device("cpu"), torch.float32, 1.0) for _ in range(int(sys.argv[1]))))
"""
SPIN = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"


def test_a_busy_machine_has_no_peak_and_a_quiet_one_has():
    """Two processes spin on the measuring process's core: no product gets the core for itself."""
    idle = os.getloadavg()[0] < 0.5  # else nothing here is quiet
    quiet = float(subprocess.run([sys.executable, "-c", ALONE, "3"], capture_output=True, text=True, check=True).stdout)
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(2)]
    try:
        busy = float(subprocess.run([sys.executable, "-c", ALONE, "1"], capture_output=True, text=True, check=True).stdout)
    finally:
        for each in spinning:
            each.kill()
            each.wait()
    assert busy == 0 or busy > 0.8 * quiet, "a product that others slowed was believed"
    assert quiet > 1e9 or not idle


def test_without_a_quiet_measurement_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peak, "QUIET", 1e9)
    assert peak.peak(torch.device("cpu"), "32-true") == 0 and not peak.CACHE.exists()


def test_memory_is_that_of_this_process():
    before = peak.memory(torch.device("cpu"))
    block = torch.ones(2**26)
    assert peak.memory(torch.device("cpu")) - before > 0.8 * block.numel() * 4
