"""Doing two things for one request at the same time."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_background(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Call `function` in a thread of its own; the future holds what it returns or raises.

    It runs in a copy of the caller's context, so that the spans it makes are children of the caller's current span. A
    thread for each call, and none that the end of the process waits for: a ThreadPoolExecutor would.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(function, *args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=function.__name__, daemon=True).start()
    return future
