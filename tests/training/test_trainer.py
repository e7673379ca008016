"""What a machine says of itself: its device, its type, and what is slow on it."""

import pytest
import torch

from fmcycle.training.trainer import TrainerConfig


@pytest.fixture
def sees(monkeypatch):
    """sees(cuda=, mps=): which accelerators torch sees."""

    def see(cuda: bool = False, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return see


def test_the_device_is_what_is_asked_for_and_seen(sees):
    for seen, device in (({"cuda": True}, "cuda"), ({"mps": True}, "mps"), ({}, "cpu")):
        sees(**seen)
        assert [TrainerConfig(accelerator=name).device.type for name in ("auto", "gpu", "cpu")] == [device, device, "cpu"]


def test_the_type_follows_the_precision(sees):
    sees(cuda=True)
    assert [TrainerConfig(precision=name).dtype for name in ("32-true", "bf16-mixed", "bf16-true")] == [
        torch.float32,
        torch.bfloat16,
        torch.bfloat16,
    ]
    assert (
        TrainerConfig().computes == "cpu-float32" and TrainerConfig(accelerator="gpu", precision="bf16-mixed").computes == "cuda-bfloat16"
    )


def test_only_fp32_on_a_gpu_is_slow(sees):
    sees(cuda=True)
    gpu = TrainerConfig(accelerator="gpu", precision="bf16-mixed")
    assert "trainer.precision=bf16-mixed" in gpu.slow("32-true") and "x.precision=bf16-mixed" in gpu.slow("32-true", "x.precision")
    assert not gpu.slow("bf16-mixed") and not TrainerConfig().slow("32-true")


def test_products_of_fp32_may_be_tf32_beside_half_precision_on_a_gpu_and_nowhere_else(sees):
    sees(cuda=True)
    before = torch.get_float32_matmul_precision()
    assert before == "highest"
    for machine, precision, inside in (
        (TrainerConfig(accelerator="gpu"), "bf16-mixed", "high"),
        (TrainerConfig(accelerator="gpu"), "32-true", before),
        (TrainerConfig(), "bf16-mixed", before),
    ):
        with machine.products(precision):
            assert torch.get_float32_matmul_precision() == inside
        assert torch.get_float32_matmul_precision() == before


def test_a_stage_that_does_not_train_asks_nothing_of_other_processes(monkeypatch):
    from fmcycle.errors import InputError

    for name, value in {"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    TrainerConfig().check(trains=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    TrainerConfig(accelerator="gpu", devices=8).check(trains=False)  # one is enough to evaluate on
    with pytest.raises(InputError, match="torchrun started 2 processes"):
        TrainerConfig().check()
