"""One span: a piece of work that one process reports about one request.

Times are integers in microseconds since the Unix epoch, as Jaeger gives them. Tag names are the ones that Envoy and
OpenTelemetry write and Jaeger shows (`span.kind`, `http.status_code`, `guid:x-request-id`, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool
Kind = Literal["server", "client", "producer", "consumer", "internal", "unspecified"]
Maker = Literal["gateway", "sidecar", "application"]

KINDS: tuple[Kind, ...] = ("server", "client", "producer", "consumer", "internal", "unspecified")


@dataclass(frozen=True, slots=True)
class Log:
    """Something that happened at one moment inside a span (an event, an exception)."""

    time_us: int
    fields: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """`trace_id` is 32 hex digits, `span_id` and `parent_id` 16; `parent_id` is None for a root span."""

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    name: str
    kind: Kind
    start_us: int
    duration_us: int
    tags: Mapping[str, Scalar] = field(default_factory=dict)
    process_tags: Mapping[str, Scalar] = field(default_factory=dict)
    logs: tuple[Log, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def end_us(self) -> int:
        return self.start_us + self.duration_us

    @property
    def app(self) -> str:
        """The application without its namespace: a sidecar reports as `<app>.<namespace>`, an SDK as `<app>`."""
        return self.service.partition(".")[0]

    @property
    def by_proxy(self) -> bool:
        """Envoy tags each of its spans `component=proxy`."""
        return self.tags.get("component") == "proxy"

    @property
    def maker(self) -> Maker:
        """Who reported the span.

        A gateway's node id starts with `router~`; its router client span carries no node id but is the only kind
        named `router ...`, because Istio sets `spawn_upstream_span` on gateways alone.
        """
        if not self.by_proxy:
            return "application"
        if str(self.tags.get("node_id", "")).startswith("router~") or self.name.startswith("router "):
            return "gateway"
        return "sidecar"

    @property
    def status(self) -> Literal["ok", "error", "unset"]:
        """The OpenTelemetry span status."""
        code = str(self.tags.get("otel.status_code", "")).lower()
        if code == "ok":
            return "ok"
        return "error" if code == "error" else "unset"

    @property
    def error(self) -> bool:
        """Whether the span reports a failure; Zipkin writes the error's text where others write `true`."""
        return self.status == "error" or str(self.tags.get("error", "false")).lower() not in ("", "0", "false")

    @property
    def http_status(self) -> int | None:
        """The HTTP status code; None when there is none or it is no number (Envoy writes 0 for no answer)."""
        for key in ("http.response.status_code", "http.status_code"):
            text = str(self.tags.get(key, ""))
            if text.isascii() and text.isdigit() and len(text) <= 3 and int(text):
                return int(text)
        return None

    @property
    def response_flags(self) -> tuple[str, ...]:
        """Envoy's short reasons (`FI`, `URX`, ...); empty when all went well."""
        text = str(self.tags.get("response_flags", "-"))
        return tuple(flag for flag in text.split(",") if flag and flag != "-")

    @property
    def request_id(self) -> str | None:
        """The x-request-id that Envoy saw, its own key for one request inside one mesh."""
        value = str(self.tags.get("guid:x-request-id", ""))
        return value or None

    @property
    def destination(self) -> str:
        """Where a client span went: Envoy's cluster (`outbound|8080||host`), else its name."""
        return str(self.tags.get("upstream_cluster", "")) or self.name
