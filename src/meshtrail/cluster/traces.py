"""Reading traces from a cluster's Jaeger: spans come late there, and the cluster's clock need not be ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from meshtrail.cluster.http import ask
from meshtrail.cluster.objects import dig
from meshtrail.cluster.routes import entrances, entry_service
from meshtrail.cluster.snapshot import Snapshot
from meshtrail.model.request import Request
from meshtrail.reading.jaeger import JaegerClient
from meshtrail.reading.search import request_of_trace

ENVOY_FLUSH_S = 5.0
"""How long Envoy keeps spans before it sends them, unless a buffer of `min_flush_spans` is full."""

MARGIN_S = 1.0
CLOCKS_AGREE_S = 2.0
OLD_S = 60.0
URL_TAG = "http.url"


def late_s(snapshot: Snapshot) -> float:
    """How long after a request its last span may arrive, by the mesh configuration; in seconds."""
    values = dig(snapshot.mesh, "defaultConfig", "runtimeValues", default={})
    prompt = any(str(values.get(f"tracing.{tracer}.min_flush_spans")) == "1" for tracer in ("opentelemetry", "zipkin"))
    return MARGIN_S if prompt else ENVOY_FLUSH_S + MARGIN_S


def entry(snapshot: Snapshot, client: JaegerClient) -> str | None:
    """The service through which the namespace's requests come in, if Jaeger knows it: other applications share it all.

    None when Jaeger does not know it: then all services have to be looked at.
    """
    known = client.services()
    names = [entry_service(way) for way in entrances(snapshot)]
    return next((name for name in names if name in known), None)


def now_us(jaeger: str) -> int:
    """The time on the cluster in microseconds: our own, unless Jaeger's clock says another one."""
    answer = ask(f"{jaeger}/api/services", within=5.0)
    now = time.time()
    try:
        theirs = parsedate_to_datetime(answer.date).timestamp() if answer else now
    except ValueError:
        theirs = now
    # A Date header has whole seconds.
    return int((now if abs(theirs - now) < CLOCKS_AGREE_S else theirs + 1) * 1_000_000)


def settled(
    look: Callable[[], tuple[Request, ...]], wait_s: float, *, last: bool, waiting: Callable[[float], None]
) -> tuple[Request, ...]:
    """What `look` finds once no span can be on its way any more; `waiting` is called before it waits.

    `last`: `look` asks for the newest requests; which they are is not known before their spans have arrived.
    """
    began = time.monotonic()
    if not last:
        found = look()
        if found and time.time() - found[-1].start_us / 1_000_000 > OLD_S:
            return found
    waiting(wait_s)
    time.sleep(max(0.0, wait_s - (time.monotonic() - began)))
    return look()


def request_of_url(client: JaegerClient, url: str, *, service: str | None, within_s: float) -> Request | None:
    """The newest request to exactly this URL: complete, or as it is when the time is up; None when there is none."""
    deadline = time.monotonic() + within_s
    while True:
        found = client.find_any(services=None if service is None else (service,), tags={URL_TAG: url})
        request = request_of_trace(client, found[-1].trace_id) if found else None
        if (request is not None and request.complete) or time.monotonic() > deadline:
            return request
        time.sleep(0.3)
