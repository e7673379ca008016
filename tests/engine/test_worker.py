"""The worker of an engine: sequences take turns, join and leave between two steps, and none is another's concern."""

import asyncio
import gc
import threading
import time
import weakref

import pytest

from fmcycle.engine.worker import Worker


class Count:
    """A sequence that says 0, 1, 2 ... and writes into `log` which step was made. fails: the step that raises."""

    def __init__(self, name, length, log, seconds=0.0, fails=None):
        self.name, self.length, self.log, self.seconds, self.fails = name, length, log, seconds, fails
        self.said, self.done = 0, False

    def step(self):
        time.sleep(self.seconds)
        if self.said == self.fails:
            raise RuntimeError(f"{self.name} broke")
        self.log.append(self.name)
        self.said += 1
        self.done = self.said == self.length
        return self.said - 1


class Starter(Worker):
    """A request is what starts its sequence."""

    def start(self, request):
        return request()


async def read(worker, start):
    handle = await worker.submit(start)
    return [token async for token in worker.stream(handle)]


def thread_ends():
    end = time.monotonic() + 5
    while any(thread.name == "engine" for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(thread.name == "engine" for thread in threading.enumerate())


def test_sequences_take_turns_and_the_thread_ends_with_the_last():
    async def main():
        log, worker = [], Starter(places=2)
        slow = 0.01  # so that both are there before the first has said everything
        said = await asyncio.gather(*(read(worker, lambda name=name: Count(name, 4, log, slow)) for name in "ab"))
        return said, "".join(log)

    said, log = asyncio.run(main())
    assert said == [[0, 1, 2, 3]] * 2 and log in ("abababab", "aabababb") and thread_ends()


def test_a_new_sequence_joins_at_the_next_token_of_the_others():
    async def main():
        log, worker = [], Starter(places=2)
        handle = await worker.submit(lambda: Count("long", 200, log, 0.005))
        tokens = worker.stream(handle)
        await anext(tokens)
        assert await read(worker, lambda: Count("short", 2, log)) == [0, 1]
        before = len(log)
        assert [token async for token in tokens] == list(range(1, 200))
        return before

    assert asyncio.run(main()) < 20


def test_beyond_its_places_a_sequence_waits_and_may_be_withdrawn():
    async def main():
        log, worker = [], Starter(places=1)
        first = asyncio.create_task(read(worker, lambda: Count("a", 20, log, 0.01)))
        await asyncio.sleep(0.05)
        second, third = (asyncio.create_task(read(worker, lambda name=name: Count(name, 2, log))) for name in "bc")
        await asyncio.sleep(0.05)
        second.cancel()
        assert await first == list(range(20)) and await third == [0, 1]
        with pytest.raises(asyncio.CancelledError):
            await second
        return "".join(log)

    assert asyncio.run(main()) == "a" * 20 + "cc"


def test_an_aborted_sequence_is_stepped_no_more_and_let_go():
    async def main():
        log, worker, made = [], Starter(places=2), []

        def start():
            made.append(weakref.ref(sequence := Count("a", 10**9, log, 0.01)))
            return sequence

        handle = await worker.submit(start)
        assert await anext(worker.stream(handle)) == 0
        other = asyncio.create_task(read(worker, lambda: Count("b", 20, log, 0.01)))
        await worker.abort(handle)
        steps = log.count("a")
        assert await other == list(range(20)) and log.count("a") <= steps + 1
        rest = [token async for token in worker.stream(handle)]
        assert rest == list(range(1, 1 + len(rest))) and len(rest) < steps
        assert [token async for token in worker.stream(handle)] == []
        await worker.abort(handle)
        return made[0]

    sequence = asyncio.run(main())
    assert thread_ends() and (gc.collect() or True) and sequence() is None


def test_a_sequence_that_fails_ends_alone_with_its_own_error():
    def broken():
        raise ValueError("no such picture")

    async def main():
        log, worker = [], Starter(places=3)
        whole = asyncio.create_task(read(worker, lambda: Count("whole", 20, log, 0.005)))
        handle = await worker.submit(lambda: Count("broken", 9, log, fails=3))
        said = []
        with pytest.raises(RuntimeError, match="broken broke"):
            async for token in worker.stream(handle):
                said.append(token)
        with pytest.raises(ValueError, match="no such picture"):
            await worker.submit(broken)
        assert said == [0, 1, 2] and await whole == list(range(20))
        assert await read(worker, lambda: Count("next", 2, log)) == [0, 1]

    asyncio.run(main())


def test_no_step_blocks_the_event_loop():
    async def main():
        worker, longest = Starter(places=2), 0.0
        task = asyncio.create_task(read(worker, lambda: Count("slow", 3, [], seconds=0.4)))
        while not task.done():
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - begun)
        return await task, longest

    said, longest = asyncio.run(main())
    assert said == [0, 1, 2] and longest < 0.3


def test_what_nobody_waits_for_any_more_is_let_go():
    log, worker = [], Starter(places=1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(worker.submit(lambda: Count("left", 10**9, log, 0.001)))
    loop.close()
    assert asyncio.run(read(worker, lambda: Count("next", 2, log))) == [0, 1] and thread_ends()


def test_many_loops_in_many_threads_have_each_their_own_tokens():
    worker, found = Starter(places=4), {}

    def ask(length):
        found[length] = asyncio.run(read(worker, lambda: Count("a", length, [])))

    threads = [threading.Thread(target=ask, args=(length,)) for length in range(1, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {length: list(range(length)) for length in range(1, 40)} and thread_ends()
