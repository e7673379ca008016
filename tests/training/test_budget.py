import pytest

from fmcycle.training.budget import Budget


def test_rates_warm_up_stay_and_fall():
    wsd, cosine = (
        Budget(max_steps=100, global_batch=1, warmup=0.1, decay=0.4),
        Budget(max_steps=100, global_batch=1, schedule="cosine", min_lr_ratio=0.1),
    )
    assert [round(wsd.rate(step), 3) for step in (0, 4, 9, 50, 60, 80, 99)] == [0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.025]
    assert cosine.rate(50) == pytest.approx(0.55) and cosine.rate(99) > 0.1
    assert all(b < a for a, b in zip(range_of(cosine, 3, 100), range_of(cosine, 4, 101), strict=True))


def range_of(budget: Budget, begin: int, end: int) -> list[float]:
    return [budget.rate(step) for step in range(begin, end)]
