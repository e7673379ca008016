"""Writes answers and feedback to the store in one thread, so that no answer waits for a full disk or a lock."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fmcycle.serving import metrics
from fmcycle.serving.middleware import place
from fmcycle.serving.store import Store, StoreDown

log = logging.getLogger("bentoml.serve")
PATIENCE = 1.5  # seconds that a request waits for the store
RETRY = 1.0  # seconds between two attempts while answers wait for the store
FRESH = 1.0  # seconds for which the result of the last write counts
END = 5.0  # seconds that a server waits for the store when it stops
ANSWERS, BYTES = 1000, 64 << 20  # bounds of the answers that wait in memory; beyond them a new answer is lost


@dataclass(eq=False)
class Unkept:
    """An answer that waits for the store."""

    row: dict
    media: Sequence[bytes]
    size: int
    tried: threading.Event = field(default_factory=threading.Event)


class Keeper:
    """Stores answers as soon as the store takes them, and feedback at once or not at all.

    While the store is down, answers wait in memory within bounds; they are written in their order once it is up again.
    """

    def __init__(self, store: Store):
        self.store = store
        self.trouble = ""  # reason of the last failure; empty if the last write succeeded
        self.tried = 0.0  # time of the last write
        self.waiting: deque[Unkept] = deque()
        self.size = 0
        self.lock = threading.Lock()
        self.calls: queue.SimpleQueue[tuple[Callable, Future]] = queue.SimpleQueue()
        metrics.WRITABLE.set(1)
        threading.Thread(target=self._work, name="keeper", daemon=True).start()

    def answer(self, row: dict, media: Sequence[bytes] = (), *, wait: bool = True) -> None:
        """Store an answer; with `wait` it is on disk when this returns, unless the store is down."""
        size = len(row["answer"]) + sum(len(each["content"]) for each in row["prompt"]) + sum(map(len, media)) + 500
        entry = Unkept(row, media, size)
        with self.lock:
            first, full = not self.waiting, len(self.waiting) >= ANSWERS or self.size + size > BYTES
            if not full:
                self.waiting.append(entry)
                self.size += size
        if full:
            return self._lost("the store has been away too long")
        metrics.UNKEPT.set(len(self.waiting))
        if first or not self.trouble:  # otherwise the thread retries by itself
            self._call(self._flush)
        if wait and not self.trouble:
            entry.tried.wait(PATIENCE)
        return None

    def feedback(self, *said) -> tuple[int, bool]:
        """Call `Store.add_feedback` and return its result. Raises StoreDown if it takes longer than `PATIENCE`, too."""
        return self._within(partial(self._add_feedback, *said))

    def check(self) -> str:
        """Return why the store can't be written now, empty if it can. It tries a write, at most once in `FRESH` seconds."""
        if time.monotonic() - self.tried > FRESH:
            with suppress(StoreDown):
                self._within(self._probe)
        return self.trouble

    def close(self) -> None:
        """Write the waiting answers, for at most `END` seconds, and log how many remain."""
        with suppress(TimeoutError):
            self._call(self._flush).result(END)
        if self.waiting:
            log.error("%d answers were not kept: %s", len(self.waiting), self.trouble or "the store takes too long")

    def _within(self, call: Callable) -> Any:
        future = self._call(call)
        try:
            return future.result(PATIENCE)
        except TimeoutError:
            future.cancel()
            self._down(f"no answer within {PATIENCE:g} s")
            raise StoreDown(self.trouble) from None

    def _call(self, call: Callable) -> Future:
        future: Future = Future()
        self.calls.put((call, future))
        return future

    def _work(self) -> None:
        while True:
            try:
                call, future = self.calls.get(timeout=RETRY if self.waiting else None)
            except queue.Empty:
                self._flush()
                continue
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except Exception as error:
                    future.set_exception(error)

    def _flush(self) -> bool:
        """Write the waiting answers, oldest first; return False if the store does not take one."""
        while self.waiting:
            entry = self.waiting[0]
            try:
                self.store.add_answer(entry.row, entry.media)
                self._up()
            except StoreDown as error:
                self._down(str(error))
                with self.lock:
                    for each in self.waiting:
                        each.tried.set()
                return False
            except Exception as error:  # the store will never take this answer
                self._lost(place(error))
            with self.lock:
                self.waiting.popleft()
                self.size -= entry.size
            metrics.UNKEPT.set(len(self.waiting))
            entry.tried.set()
        return True

    def _add_feedback(self, *said) -> tuple[int, bool]:
        if not self._flush():
            raise StoreDown(self.trouble)
        return self._watched(partial(self.store.add_feedback, *said))

    def _probe(self) -> None:
        if self._flush():
            self._watched(self.store.probe)

    def _watched(self, call: Callable) -> Any:
        try:
            result = call()
        except StoreDown as error:
            self._down(str(error))
            raise
        except (LookupError, ValueError):  # the store answered, so it is up
            self._up()
            raise
        self._up()
        return result

    def _up(self) -> None:
        if self.trouble:
            log.warning("the feedback store is written again; %d answers that waited are next", len(self.waiting))
        self._verdict("")

    def _down(self, why: str) -> None:
        if not self.trouble:
            log.error("the feedback store can't be written (%s): answers wait in memory, feedback is refused with 503", why)
        self._verdict(why)

    def _verdict(self, trouble: str) -> None:
        self.trouble, self.tried = trouble, time.monotonic()
        metrics.WRITABLE.set(0 if trouble else 1)

    def _lost(self, why: str) -> None:
        metrics.LOST.inc()
        log.error("an answer went out and is not kept: %s", why)
