"""One thread steps all running sequences of an engine and hands their tokens to the event loops that wait for them."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Protocol

BEGUN, END = object(), object()


class Steps(Protocol):
    """One unfinished answer. done: True once it has ended; step: returns its next token, or None if it ended without one."""

    done: bool

    def step(self) -> int | None: ...


class Handle:
    """A submitted request. The worker thread reads `start` and `aborted`; only the event loop that submitted it uses the rest."""

    def __init__(self, start: Callable[[], Steps]):
        self.start = start
        self.loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = self.loop.create_future()
        self.items: asyncio.Queue[Any] = asyncio.Queue()  # token ids, then END or an error
        self.aborted = False

    def take(self, item: Any) -> None:
        """Receive an item from the worker: first BEGUN or an error, then token ids, last END or an error."""
        if self.aborted:
            return  # the item was sent before the worker saw that the request is aborted
        if self.begun.done():
            self.items.put_nowait(item)
        elif isinstance(item, Exception):
            self.begun.set_exception(item)
        else:
            self.begun.set_result(None)


class Worker:
    """The base of an engine whose sequences take turns, a token each in a round; a subclass adds `start`.

    places: number of sequences that run at the same time; further requests wait in order. A new sequence joins in the next round, an
    aborted one is dropped before its next step, and one that fails ends with its own error. The thread ends when no sequence runs or waits.
    """

    def __init__(self, places: int):
        self.places = places
        self._lock = threading.Lock()
        self._waiting: deque[Handle] = deque()
        self._running = False

    def start(self, request: Any) -> Steps:
        """Return the sequence that answers `request`; the worker thread calls this."""
        raise NotImplementedError

    async def submit(self, request: Any) -> Handle:
        """Return the handle of `request`, once there is a place for it. Raises the error that `start` raises."""
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
        """Yield the token ids as they come, until the sequence ends. Raises the error of this sequence."""
        while (item := await handle.items.get()) is not END:
            if isinstance(item, Exception):
                raise item
            yield item
        handle.items.put_nowait(END)  # so that a second reader ends too

    async def abort(self, handle: Handle) -> None:
        """Drop a sequence before its next step, and end its stream."""
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
        """Start waiting sequences while there are places. Returns False if none runs or waits; then the thread ends."""
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
    """Run one step and return its items: a token id, and END or an error if the sequence has ended."""
    try:
        token = sequence.step()
    except Exception as error:
        return [error]
    return [*([] if token is None else [token]), *([END] if token is None or sequence.done else [])]


def _hand_over(said: list[tuple[Handle, Any]]) -> None:
    """Give each handle its items on its own event loop; each loop is woken once. Nobody waits on a closed loop."""
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
