"""Send a planned load and measure it."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable, Sequence

from meshtrail.load.connection import Answer, Connection, ConnectionFailedError, connect, encode
from meshtrail.load.plan import Plan
from meshtrail.load.report import LoadReport
from meshtrail.load.target import Target

FAILED_PAUSE_S = 0.05
"""A closed loop against a port that refuses would spin at the speed of the processor."""

Progress = Callable[[int, int], None]
"""Called after each request with the numbers of requests finished and of those that failed."""


async def run_load(
    target: Target,
    plan: Plan,
    *,
    headers: Sequence[tuple[str, str]] = (),
    stop: asyncio.Event | None = None,
    progress: Progress | None = None,
) -> LoadReport:
    """Send GET requests to `target` as `plan` says; every request is waited for, at most `plan.timeout_s` seconds.

    `stop`, once set, ends the sending; what is in flight is then given up and not counted as sent. Failures never
    raise: they are counted.
    """
    run = _Run(target, plan, encode(target, tuple(headers)), stop or asyncio.Event(), progress)
    return await run.run()


class _Run:
    def __init__(
        self, target: Target, plan: Plan, request: bytes, stop: asyncio.Event, progress: Progress | None
    ) -> None:
        self.target = target
        self.plan = plan
        self.request = request
        self.stop = stop
        self.progress = progress
        self.idle: list[Connection] = []
        self.latencies = array("d")
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.sent = self.finished = self.retried = self.connections = 0

    async def run(self) -> LoadReport:
        loop = asyncio.get_running_loop()
        began = loop.time()
        senders = [asyncio.create_task(self._sender(began)) for _ in range(min(self.plan.concurrency, self.plan.count))]
        stopping = asyncio.create_task(self.stop.wait())
        everything = asyncio.gather(*senders)
        try:
            await asyncio.wait((everything, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted = not everything.done()
            tasks = [*senders, stopping]
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(everything, return_exceptions=True)
            took = loop.time() - began
            for connection in self.idle:
                connection.close()
        for result in results:
            if isinstance(result, Exception):
                raise result
        return LoadReport(
            url=self.target.url,
            rate=self.plan.rate,
            duration_s=took,
            sent=self.finished,
            statuses=dict(self.statuses),
            errors=dict(self.errors),
            retried=self.retried,
            connections=self.connections,
            interrupted=interrupted,
            latencies_ms=array("d", sorted(self.latencies)),
        )

    async def _sender(self, began: float) -> None:
        """Take the next request, wait until it is due, send it; at a fixed rate the numbers are the clock."""
        loop = asyncio.get_running_loop()
        plan = self.plan
        while self.sent < plan.count:
            number = self.sent
            self.sent += 1
            due = loop.time() if plan.rate is None else began + number / plan.rate
            if due - began >= plan.duration_s or loop.time() - began >= plan.duration_s:
                return
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            outcome = await self._request()
            if isinstance(outcome, Answer):
                self.latencies.append((loop.time() - due) * 1000)
                self.statuses[outcome.status] += 1
                if outcome.status >= 400:
                    self.errors[f"HTTP {outcome.status}"] += 1
            else:
                self.errors[outcome] += 1
                if plan.rate is None:
                    await asyncio.sleep(FAILED_PAUSE_S)
            self.finished += 1
            if self.progress is not None:
                self.progress(self.finished, self.errors.total())

    async def _request(self) -> Answer | str:
        """One request to its end; gives the answer, or the kind of error when there was none."""
        try:
            async with asyncio.timeout(self.plan.timeout_s):
                return await self._exchange()
        except TimeoutError:
            return "timed out"
        except ConnectionFailedError as error:
            return error.kind

    async def _exchange(self) -> Answer:
        while True:
            connection = await self._connection()
            again = connection.used > 0
            try:
                answer = await connection.get(self.request)
            except ConnectionFailedError as error:
                # The server closed an idle connection just as this request was written; a GET may be sent again
                # (RFC 9110, 9.2.2), as every browser does.
                if again and error.unanswered:
                    self.retried += 1
                    continue
                raise
            if connection.usable:
                self.idle.append(connection)
            else:
                # The server will close it; the load may end before that.
                connection.close()
            return answer

    async def _connection(self) -> Connection:
        """The connection used last, so that a low rate keeps few open."""
        while self.idle:
            connection = self.idle.pop()
            if connection.usable:
                return connection
            connection.close()
        self.connections += 1
        return await connect(self.target)
