"""Threads that prepare pieces of work in order, and that never keep a program from ending."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Result = TypeVar("Result")
LEAVE_S = 5.0  # how long `close` waits for a thread to end its piece of work


class Crew(Generic[Result]):
    """A few daemon threads and a queue of calls, begun in the order in which they were given.

    Not a ThreadPoolExecutor: its threads are waited for when the interpreter ends, so a read that never returns (a network
    disk that is gone) would keep the program alive after its error was shown.

    >>> crew = Crew(2)
    >>> crew.submit(lambda: 6 * 7).result()
    42
    >>> crew.close()
    """

    def __init__(self, threads: int) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Result], Callable[[], Result]] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, name=f"saccade-loader-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._work.put((future, call))
        return future

    def close(self, wait_s: float = LEAVE_S) -> None:
        """Lets the threads end after the work they are at, and waits for them at most so long; cancel what has not begun before."""
        for _ in self._threads:
            self._work.put(None)
        until = time.monotonic() + wait_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _serve(self) -> None:
        while (piece := self._work.get()) is not None:
            future, call = piece
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as problem:  # raised again where the result is taken
                    future.set_exception(problem)
