"""Reading traces from a cluster's Jaeger: spans come late there, and the cluster's clock need not be ours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from meshtrail.cluster.application import SIDECAR, pod_status, pods_of, workloads
from meshtrail.cluster.http import ask
from meshtrail.cluster.objects import dig
from meshtrail.cluster.routes import entrances, entry_service
from meshtrail.cluster.snapshot import Snapshot
from meshtrail.model.request import Request
from meshtrail.reading.jaeger import JaegerClient
from meshtrail.reading.search import request_of_trace

LATE_S = 6.0
"""Envoy keeps spans for up to 5 s, until it has `tracing.opentelemetry.min_flush_spans` of them (5 by default)."""

SOON_S = 1.5
CLOCKS_AGREE_S = 2.0
OLD_S = 60.0
URL_TAG = "http.url"


def prompt(snapshot: Snapshot) -> bool:
    """Whether the sidecars send each span at once: `min_flush_spans` is 1 in what they were started with.

    The mesh configuration tells of sidecars to come, a pod's own PROXY_CONFIG of the one that it has.
    """
    said = [
        entry.get("value", "")
        for workload in workloads(snapshot)
        for pod in pods_of(snapshot, workload)
        for container in (*dig(pod, "spec", "initContainers", default=[]), *dig(pod, "spec", "containers", default=[]))
        if container["name"] == SIDECAR
        for entry in container.get("env") or []
        if entry["name"] == "PROXY_CONFIG"
    ]
    sidecars = sum(
        bool(pod_status(pod).sidecar) for workload in workloads(snapshot) for pod in pods_of(snapshot, workload)
    )
    return 0 < sidecars == sum(bool(re.search(r'min_flush_spans"\s*:\s*"1"', text)) for text in said)


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
    look: Callable[[], tuple[Request, ...]], *, soon: bool, last: bool, waiting: Callable[[float], None]
) -> tuple[Request, ...]:
    """What `look` finds once no span can be on its way any more; `waiting` is called with seconds before each wait.

    `last`: it looks for the newest requests; which they are is not known before their spans have arrived. `soon`: the
    sidecars send at once (see `prompt`); what has no loose ends then is whole, whatever the gateway does.
    """
    if not last:
        found = look()
        if found and time.time() - found[-1].start_us / 1_000_000 > OLD_S:
            return found
    waited = 0.0
    for until in (SOON_S, LATE_S) if soon else (LATE_S,):
        waiting(until - waited)
        time.sleep(until - waited)
        waited = until
        found = look()
        if found and found[-1].explained:
            break
    return found


def request_of_url(client: JaegerClient, url: str, *, service: str | None) -> Request | None:
    """The newest request to exactly this URL; None when there is none."""
    found = client.find_any(services=None if service is None else (service,), tags={URL_TAG: url})
    return request_of_trace(client, found[-1].trace_id) if found else None
