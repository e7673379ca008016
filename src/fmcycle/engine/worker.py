"""One thread that steps all live sequences of an engine, and hands their tokens over to the event loops that wait for them."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Protocol

BEGUN, END = object(), object()


class Steps(Protocol):
    """An answer in the making. done: it has ended; step: its next token, or None if it ended without one."""

    done: bool

    def step(self) -> int | None: ...


class Handle:
    """A submitted request. The worker reads `start` and `aborted`; the rest belongs to the event loop that submitted."""

    def __init__(self, start: Callable[[], Steps]):
        self.start = start
        self.loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = self.loop.create_future()
        self.items: asyncio.Queue[Any] = asyncio.Queue()  # token ids, then END or an error
        self.aborted = False

    def take(self, item: Any) -> None:
        """What the worker says of this request: BEGUN or an error first, then token ids, and END or an error last."""
        if self.aborted:
            return  # it was said on the way
        if self.begun.done():
            self.items.put_nowait(item)
        elif isinstance(item, Exception):
            self.begun.set_exception(item)
        else:
            self.begun.set_result(None)


class Worker:
    """The base of an engine whose sequences take turns, each a token a round: `submit`, `stream` and `abort`. A subclass has `start`.

    places: sequences that are live at the same time; others wait in their order. A new one joins in the next round, an aborted one is let
    go before its next step, and one that fails ends with its own error. The thread lives as long as there is something to do.
    """

    def __init__(self, places: int):
        self.places = places
        self._lock = threading.Lock()
        self._waiting: deque[Handle] = deque()
        self._running = False

    def start(self, request: Any) -> Steps:
        """The sequence that answers `request`; called in the worker's thread."""
        raise NotImplementedError

    async def submit(self, request: Any) -> Handle:
        """The handle of `request`, once there is a place for it. Raises what `start` raises."""
        handle = Handle(partial(self.start, request))
        with self._lock:
            self._waiting.append(handle)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="engine").start()
        try:
            await handle.begun
        except asyncio.CancelledError:
            handle.aborted = True
            raise
        return handle

    async def stream(self, handle: Handle) -> AsyncIterator[int]:
        """The token ids as they come, to the end or the error of this sequence."""
        while (item := await handle.items.get()) is not END:
            if isinstance(item, Exception):
                raise item
            yield item
        handle.items.put_nowait(END)  # for whoever reads again

    async def abort(self, handle: Handle) -> None:
        """Let a sequence go before its next step, and end its stream."""
        handle.aborted = True
        handle.items.put_nowait(END)

    def _run(self) -> None:
        live: dict[Handle, Steps] = {}
        while self._admit(live):
            said: list[tuple[Handle, Any]] = []
            for handle, sequence in list(live.items()):
                items = [] if handle.aborted else _stepped(sequence)
                if not items or not isinstance(items[-1], int):
                    del live[handle]
                said += [(handle, item) for item in items]
            _hand_over(said)

    def _admit(self, live: dict[Handle, Steps]) -> bool:
        """Start sequences while there are places. False if there is nothing to do any more: then the thread ends."""
        with self._lock:
            new = [self._waiting.popleft() for _ in range(min(len(self._waiting), self.places - len(live)))]
            self._running = busy = bool(live or new)
        said: list[tuple[Handle, Any]] = []
        for handle in new:
            if handle.aborted:
                continue
            try:
                live[handle] = handle.start()
                said.append((handle, BEGUN))
            except Exception as error:
                said.append((handle, error))
        _hand_over(said)
        return busy


def _stepped(sequence: Steps) -> list:
    """What a step gave: a token id, and END or an error if it was the last."""
    try:
        token = sequence.step()
    except Exception as error:
        return [error]
    return [*([] if token is None else [token]), *([END] if token is None or sequence.done else [])]


def _hand_over(said: list[tuple[Handle, Any]]) -> None:
    """Give each handle its items on its own event loop, which is woken once; a loop that is closed has nobody who waits."""
    for loop in {handle.loop for handle, _ in said}:
        own = [(handle, item) for handle, item in said if handle.loop is loop]
        try:
            loop.call_soon_threadsafe(_take, own)
        except RuntimeError:
            for handle, _ in own:
                handle.aborted = True


def _take(said: list[tuple[Handle, Any]]) -> None:
    for handle, item in said:
        handle.take(item)
