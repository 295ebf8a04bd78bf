"""Doing two things for one request at the same time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Background:
    """Threads that are kept: as many as were needed at once.

    The end of the process does not wait for them, as it would for those of a ThreadPoolExecutor.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = threading.Semaphore(0)

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `function` in another thread; the future holds what it returns or raises.

        It runs in a copy of the caller's context, so that the spans it makes are children of the caller's current span.
        """
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def job() -> None:
            try:
                future.set_result(context.run(function, *args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        self._jobs.put(job)
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._work, name="background", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            self._idle.release()
