"""What a span says, put in words for a reader: shorter names, Envoy's response flags, harmless text."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from meshtrail.model.span import Span

FLAGS = {
    "DC": "the caller hung up",
    "DF": "the name of the upstream could not be resolved",
    "DI": "delay injected",
    "DO": "dropped, overloaded",
    "DPE": "the caller broke the HTTP protocol",
    "DR": "the caller reset the stream",
    "DT": "the connection or request lasted too long",
    "FI": "fault injected",
    "IH": "a header was refused as invalid",
    "LH": "the local service failed its health check",
    "LR": "connection reset locally",
    "NC": "the upstream cluster does not exist",
    "NFCF": "a filter configuration is missing",
    "NR": "no route matched",
    "OM": "the proxy is overloaded",
    "RFCF": "a filter configuration could not be fetched",
    "RL": "rate limited",
    "RLSE": "the rate limit service failed",
    "SI": "idle for too long",
    "UAEX": "denied by external authorization",
    "UC": "the upstream closed the connection",
    "UF": "could not connect to the upstream",
    "UH": "no healthy upstream",
    "UMSDR": "too many streams at the upstream",
    "UO": "too many requests for the upstream (circuit breaker)",
    "UPE": "the upstream broke the HTTP protocol",
    "UR": "the upstream reset the stream",
    "URX": "retries exhausted",
    "UT": "the upstream took too long",
}
"""Envoy's `%RESPONSE_FLAGS%`, after its access log documentation."""

_CLUSTER = re.compile(
    r"^(?:router )?outbound\|(?P<port>\d*)\|(?P<subset>[^|]*)\|(?P<host>[^;|]+);?(?P<egress> egress)?$"
)
_CLUSTER_HOST = re.compile(r"^(?P<host>[a-z0-9-]+)\.[a-z0-9-]+\.svc\.cluster\.local(?P<rest>$|[:/].*$)")


def flag_text(flag: str) -> str:
    """`FI: fault injected`; an unknown flag stays as it is."""
    meaning = FLAGS.get(flag)
    return f"{flag}: {meaning}" if meaning else flag


def short_name(name: str) -> str:
    """`backend.meshtrail.svc.cluster.local:8080/*` -> `backend:8080/*`; a router's name the same; others unchanged."""
    if match := _CLUSTER.match(name):
        subset = f" {match['subset']}" if match["subset"] else ""
        return short_name(f"{match['host']}:{match['port']}") + subset
    if match := _CLUSTER_HOST.match(name):
        return match["host"] + match["rest"]
    return name


def label(span: Span, *, arrow: str) -> str:
    """Who, and what: `backend:8080/*` for a sidecar's server span, `frontend -> backend:8080/*` for its client span.

    A server that is called by its own name is named once; an application's span says service and name.
    """
    name = short_name(span.name)
    if span.by_proxy and span.kind == "client":
        return f"{span.app} {arrow} {name}"
    if span.by_proxy and name.partition(":")[0] == span.app:
        return name
    return f"{span.app} {name}"


def called_host(span: Span) -> str | None:
    """`backend.meshtrail` when a sidecar's client span went to a service of the cluster, else None."""
    match = _CLUSTER.match(str(span.tags.get("upstream_cluster", "")))
    host = match["host"] if match else ""
    return host.removesuffix(".svc.cluster.local") if host.endswith(".svc.cluster.local") else None


def harmless(text: str, *, encoding: str = "utf-8") -> str:
    """Text from outside without what a terminal would obey: control, direction and invisible characters.

    Characters that `encoding` cannot write become `?`.
    """
    if not text.isprintable():
        text = "".join(_harmless_character(character) for character in text)
    return text if encoding.startswith("utf") else text.encode(encoding, "replace").decode(encoding)


def _harmless_character(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" or character in "\t\n\r" else "\ufffd"


def milliseconds(duration_us: int) -> str:
    """`11.90`, `1048.7`: two digits behind the point below a second, one above."""
    value = duration_us / 1000
    return f"{value:.2f}" if value < 1000 else f"{value:.1f}"


def clock(time_us: int) -> str:
    """Local date and time with milliseconds and the offset from UTC."""
    try:
        return datetime.fromtimestamp(time_us / 1_000_000).astimezone().isoformat(sep=" ", timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return f"{time_us} us"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
