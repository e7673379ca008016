"""A store that is locked, full or away: answers wait and are kept later, feedback is kept or refused, and nobody waits long."""

import signal
import time
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY
from stores import locked

from fmcycle.serving import keeper as module
from fmcycle.serving.keeper import Keeper
from fmcycle.serving.store import Store, StoreDown, UnknownAnswer

SAID = {"rating": 1, "comment": "", "corrected": "", "preferred": "", "role": "user"}


def answer(name, **changes):
    row = {"answer_id": name, "time": f"2026-01-01T00:00:{name[-2:]}", "kind": "chat", "answer": "Yes.", "finish": "stop"}
    row |= {"prompt": [{"role": "user", "content": "?"}], "model": "m", "processor": "p", "config": "c", "prompt_tokens": 3}
    return row | {"answer_tokens": 2, "latency": 0.5, "refused": False} | changes


@pytest.fixture
def keeper(tmp_path):
    return Keeper(Store(f"sqlite:///{tmp_path}/a.db", patience=0.7))


def within(seconds, call, *arguments, **options):
    """What `call` returns or raises, and that it took no longer than `seconds`."""
    begun = time.monotonic()
    try:
        return call(*arguments, **options)
    finally:
        assert time.monotonic() - begun < seconds


def kept(keeper):
    return [row["answer_id"] for row in keeper.store.interactions()]


def settled(keeper, seconds=15):
    """Until nothing waits and the store is written again."""
    end = time.monotonic() + seconds
    while (keeper.waiting or keeper.check()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not keeper.waiting and not keeper.check()


def test_an_answer_is_on_disk_when_it_is_given(keeper):
    for number in range(10, 15):
        keeper.answer(answer(f"ans-{number}"))
        assert kept(keeper)[-1] == f"ans-{number}"
    assert keeper.feedback("ans-10", "t", SAID, None)[1] and not keeper.check()


def weather(keeper, away):
    """What holds while the store is `away` (a context manager), and afterwards."""
    keeper.answer(answer("ans-10"))
    with away:
        for number in range(11, 16):
            within(2, keeper.answer, answer(f"ans-{number}"))
        for name in ("ans-10", "ans-11"):  # one that is kept, one that waits and is no unknown one
            with pytest.raises(StoreDown):
                within(2, keeper.feedback, name, "t", SAID, "key")
        assert within(2, keeper.check)
        begun = time.monotonic()
        for number in range(16, 40):  # who knows that it is away waits no more
            keeper.answer(answer(f"ans-{number}"))
        assert time.monotonic() - begun < 1
    settled(keeper)
    assert kept(keeper) == [f"ans-{number}" for number in range(10, 40)]
    assert keeper.feedback("ans-11", "t", SAID, "key")[1], "what was refused had not been kept"


def test_a_locked_store(keeper, tmp_path):
    weather(keeper, locked(tmp_path / "a.db"))


def test_a_postgresql_that_is_killed_and_comes_back(postgres):
    @contextmanager
    def killed():
        postgres.stop()
        yield
        postgres.start()

    weather(fresh(postgres), killed())


def test_a_postgresql_that_says_nothing_more(postgres):
    @contextmanager
    def frozen():
        postgres.send(signal.SIGSTOP)
        try:
            yield
        finally:
            postgres.send(signal.SIGCONT)

    keeper = fresh(postgres)
    keeper.answer(answer("ans-10"))
    with frozen():
        within(2, keeper.answer, answer("ans-11"))
        with pytest.raises(StoreDown):
            within(2, keeper.feedback, "ans-10", "t", SAID, None)
        assert within(2, keeper.check)
    settled(keeper)
    assert kept(keeper) == ["ans-10", "ans-11"]


def fresh(postgres):
    store = Store(postgres.url)
    with store.engine.begin() as connection:
        for table in ("feedback", "answers", "media"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    return Keeper(store)


def test_a_full_store(keeper):
    @contextmanager
    def full():
        with keeper.store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # of this connection, which is the only one
        yield
        keeper.store.engine.dispose()

    for number in range(10, 13):
        keeper.answer(answer(f"ans-{number}"))
    with full():
        within(2, keeper.answer, answer("ans-13", answer="x" * 10_000))
        with pytest.raises(StoreDown):
            keeper.feedback("ans-10", "t", SAID | {"comment": "x" * 10_000}, None)
        assert "full" in keeper.trouble
    settled(keeper)
    assert kept(keeper)[-1] == "ans-13"


def lost():
    return REGISTRY.get_sample_value("fmcycle_answers_lost_total")


def test_what_waits_has_a_bound_and_what_is_lost_is_counted(keeper, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ANSWERS", 3)
    before = lost()
    with locked(tmp_path / "a.db"):
        for number in range(10, 15):
            keeper.answer(answer(f"ans-{number}"))
        assert REGISTRY.get_sample_value("fmcycle_answers_unkept") == 3 and lost() - before == 2
        assert REGISTRY.get_sample_value("fmcycle_store_writable") == 0
    settled(keeper)
    assert kept(keeper) == ["ans-10", "ans-11", "ans-12"] and REGISTRY.get_sample_value("fmcycle_answers_unkept") == 0
    assert REGISTRY.get_sample_value("fmcycle_store_writable") == 1
    with pytest.raises(UnknownAnswer):
        keeper.feedback("ans-14", "t", SAID, None)


def test_a_row_that_no_store_takes_stands_in_nobodys_way(keeper):
    before = lost()
    keeper.answer(answer("ans-10", answer_tokens=None))
    keeper.answer(answer("ans-11"))
    assert kept(keeper) == ["ans-11"] and lost() - before == 1 and not keeper.check()


def test_what_waits_is_written_at_the_end(keeper, tmp_path):
    with locked(tmp_path / "a.db"):
        keeper.answer(answer("ans-10"), wait=False)
        keeper.answer(answer("ans-11"), wait=False)
    keeper.close()
    assert kept(keeper) == ["ans-10", "ans-11"]
