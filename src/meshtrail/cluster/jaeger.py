"""Jaeger's query Service on a cluster, and the base path under which it answers."""

from __future__ import annotations

import json
import re

from meshtrail.cluster import objects
from meshtrail.cluster.http import ask
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.snapshot import Snapshot

NAMES = ("tracing", "jaeger-query")
"""Istio's addon and our own manifests, then the name that Jaeger's own charts give."""

QUERY_PORT = 16686
BASE_PATHS = ("/jaeger", "")
INSTALL = "kubectl apply -k k8s/jaeger/all-in-one"


def query_service(snapshot: Snapshot) -> tuple[Object, int] | None:
    """The Service and its port; by name, else any that leads to Jaeger's query port."""
    services = snapshot.of("Service")
    for name in NAMES:
        for service in services:
            port = _query_port(service) if objects.name(service) == name else None
            if port:
                return service, port
    for service in services:
        for entry in dig(service, "spec", "ports", default=[]):
            if QUERY_PORT in (entry["port"], entry.get("targetPort")):
                return service, int(entry["port"])
    return None


def _query_port(service: Object) -> int | None:
    entries = dig(service, "spec", "ports", default=[])
    for entry in entries:
        if QUERY_PORT in (entry["port"], entry.get("targetPort")) or entry.get("name") in ("http-query", "query"):
            return int(entry["port"])
    return None


def base_url(url: str) -> str | None:
    """`url` with the base path under which Jaeger's API answers; None when it does not answer as Jaeger does.

    Jaeger's page names its base path, and Jaeger gives that page for every path that it does not know.
    """
    page = ask(f"{url}/", within=5.0)
    if page is None:
        return None
    named = re.search(rb'<base href="([^"]*)"', page.body)
    paths = [named[1].decode("utf-8", "replace").rstrip("/")] if named else []
    for path in dict.fromkeys((*paths, *BASE_PATHS)):
        if _is_api(f"{url}{path}/api/services"):
            return url + path
    return None


def _is_api(url: str) -> bool:
    answer = ask(url, within=10.0)
    if answer is None or answer.status != 200:
        return False
    try:
        parsed = json.loads(answer.body)
    except ValueError:
        return False
    # `data` is null while Jaeger has no span yet.
    return isinstance(parsed, dict) and "data" in parsed
