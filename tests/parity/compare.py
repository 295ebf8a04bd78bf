"""What must be the same as on a real cluster, and the one list of what need not be."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

IGNORED_TAGS = {
    "node_id": "holds the pod's address and generated name",
    "peer.address": "an address",
    "upstream_address": "an address",
    "net.host.ip": "an address (Zipkin's local endpoint)",
    "otel.scope.version": "the build of the Envoy binary",
    "telemetry.sdk.version": "the build of the Envoy binary",
    "request_size": "depends on the HTTP client",
    "client.address": "an address",
    "client.port": "an address",
    "network.peer.address": "an address",
    "network.peer.port": "an address",
    "server.port": "where a process listens, or its sidecar",
    "service.instance.id": "made anew by each process",
}
"""Tags that are not compared, each with the reason; their presence is."""

CALLED_ADDRESS = ("server.address", "url.full")
"""Tags of an SDK's client span with the address that the application called. On the local mesh that is its sidecar's
listener (difference `called-address`): only the path is compared."""

NAMES_ITS_POD = re.compile(r"/(productpage|reviews)\b")
"""Paths whose answer holds the name of a pod of reviews: how long that is differs, and with it the answer's size."""

GAVE_UP = re.compile(r"(?<=_Pool)\(host='[^']*', port=\d+\)(: Read timed out\. \(read timeout=)[\d.]+")
"""An error of urllib3: whom it called (difference `called-address`), and how much of the time was left."""

IGNORED_FIELDS = {"exception.stacktrace": "holds the paths of files"}

IGNORED_HEADERS = {
    "x-forwarded-client-cert": "the recordings were made with mutual TLS (difference `mutual-tls`)",
}
DIFFERENCES = ("mutual-tls", "called-address", "tcp-host")
"""What of meshtrail.mesh.differences is allowed for here, or where headers are compared; see also Situation.differs."""

COMPARED_HEADER_VALUES = ("host", "x-forwarded-proto", "x-envoy-attempt-count", "x-b3-sampled", "tracestate")

CLIENT_CLOSES = "DC"
"""The stand-in's urllib closes before the body of an error has passed through: whether Envoy notices in time to flag it
(and how many bytes it counted by then) depends on the scheduler. The recordings show both outcomes within one trace."""


def from_jaeger(traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Traces of Jaeger's API in the form of the recordings."""
    result = []
    for trace in traces:
        spans = []
        for span in trace["spans"]:
            process = trace["processes"][span["processID"]]
            tags = {tag["key"]: tag["value"] for tag in span["tags"]}
            parent = next((ref["spanID"] for ref in span["references"] if ref["refType"] == "CHILD_OF"), None)
            spans.append(
                {
                    "service": process["serviceName"],
                    "kind": tags.get("span.kind"),
                    "operation": span["operationName"],
                    "span": span["spanID"],
                    "parent": parent,
                    "start_us": span["startTime"],
                    "duration_us": span["duration"],
                    "tags": tags,
                    "process_tags": {tag["key"]: tag["value"] for tag in process["tags"]},
                    "logs": span["logs"],
                }
            )
        result.append({"trace": trace["traceID"], "spans": spans})
    return result


def shape(traces: list[dict[str, Any]], request_headers: Mapping[str, str]) -> list[Any]:
    """Traces without ids, addresses and times: equal for two runs exactly if they tell the same.

    Each trace is a forest of spans, children sorted by what they are. A parent that is no span of the trace (the
    client's) stays as it is, and so does an id that the client gave.
    """
    given = " ".join(request_headers.values())
    result = []
    for trace in traces:
        requests: dict[str, int] = {}
        spans = sorted(trace["spans"], key=lambda span: span.get("start_us", 0))
        for root in _roots(spans):
            _number_requests(root, spans, requests)
        forest = sorted((_tree(root, spans, requests, trace["trace"]) for root in _roots(spans)), key=_text)
        result.append(
            {"trace": "client" if trace["trace"] in given else "generated", "spans": len(spans), "forest": forest}
        )
    return sorted(result, key=_text)


def examples(traces: list[dict[str, Any]], request_headers: Mapping[str, str], *, every: bool) -> dict[str, Any]:
    """What a recording keeps: with `every` all traces; else the first of each kind, and how many of it there were.

    Times are from the begin of the first span.
    """
    first: dict[str, dict[str, Any]] = {}
    times: Counter[str] = Counter()
    for number, trace in enumerate(sorted(traces, key=lambda one: min(span["start_us"] for span in one["spans"]))):
        kind = str(number) if every else _text(shape([trace], request_headers))
        first.setdefault(kind, trace)
        times[kind] += 1
    begin = min((span["start_us"] for trace in traces for span in trace["spans"]), default=0)
    kept = [
        {**trace, "spans": [{**span, "start_us": span["start_us"] - begin} for span in trace["spans"]]}
        for trace in first.values()
    ]
    return {"traces": kept} if every else {"traces": kept, "times": list(times.values())}


def dump(recording: Mapping[str, Any]) -> str:
    """A recording as JSON with one span a line."""
    fields = {name: json.dumps(value, ensure_ascii=False) for name, value in recording.items() if name != "traces"}
    traces = []
    for trace in recording["traces"]:
        spans = ",\n    ".join(json.dumps(span, sort_keys=True, ensure_ascii=False) for span in trace["spans"])
        traces.append(f'  {{"trace": "{trace["trace"]}", "spans": [\n    {spans}\n  ]}}')
    body = ",\n".join([*(f'"{name}": {text}' for name, text in fields.items())])
    return "{\n" + body + ',\n"traces": [\n' + ",\n".join(traces) + "\n]\n}\n"


def _roots(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {span["span"] for span in spans}
    return [span for span in spans if span["parent"] not in known]


def _number_requests(span: dict[str, Any], spans: list[dict[str, Any]], requests: dict[str, int]) -> None:
    identifier = span["tags"].get("guid:x-request-id")
    if identifier is not None:
        requests.setdefault(identifier, len(requests))
    for child in (other for other in spans if other["parent"] == span["span"]):
        _number_requests(child, spans, requests)


def _tree(span: dict[str, Any], spans: list[dict[str, Any]], requests: Mapping[str, int], trace: str) -> dict[str, Any]:
    known = {other["span"] for other in spans}
    children = [_tree(other, spans, requests, trace) for other in spans if other["parent"] == span["span"]]
    return {
        "service": span["service"],
        "kind": span["kind"],
        "operation": span["operation"],
        "parent": "span" if span["parent"] in known else span["parent"],
        "id is the trace's": span["span"] == trace[16:],
        "tags": tags(_reachable(span["tags"]), requests),
        "process": tags(span["process_tags"], requests),
        "events": sorted(
            GAVE_UP.sub(r"\1", str(field["value"]))
            for log in span["logs"]
            for field in log["fields"]
            if field["key"] not in IGNORED_FIELDS
        ),
        "children": sorted(children, key=_text),
    }


def _reachable(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tags of a span without the address that an SDK's client called."""
    if found.get("span.kind") != "client" or "url.full" not in found:
        return found
    return {
        name: f"http://called{urlsplit(str(value)).path}" if name == "url.full" else value
        for name, value in found.items()
        if name == "url.full" or name not in CALLED_ADDRESS
    }


def tags(found: Mapping[str, Any], requests: Mapping[str, int]) -> dict[str, Any]:
    """Tags in comparable form: what is ignored keeps its name only, request ids become their order of appearance."""
    result: dict[str, Any] = {}
    closed = CLIENT_CLOSES in str(found.get("response_flags", "")).split(",") or str(
        found.get("http.status_code", "")
    ).startswith("5")
    for name, value in found.items():
        if name in IGNORED_TAGS:
            result[name] = "ignored"
        elif name == "guid:x-request-id":
            result[name] = f"request {requests[value]}"
        elif name == "response_flags":
            flags = [flag for flag in str(value).split(",") if flag not in (CLIENT_CLOSES, "-")]
            result[name] = ",".join(flags) or "-"
        elif name == "response_size" and closed:
            result[name] = "cut"
        elif name == "response_size" and NAMES_ITS_POD.search(str(found.get("http.url", ""))):
            result[name] = "with a pod's name"
        elif isinstance(value, str):
            result[name] = GAVE_UP.sub(r"\1", re.sub(r"Python-urllib/3\.\d+", "Python-urllib", value))
        else:
            result[name] = value
    return result


def headers(seen: Mapping[str, str]) -> dict[str, str]:
    """Headers that a service saw: every name, and the values that do not depend on the run."""
    result = {}
    for name, value in seen.items():
        if name in IGNORED_HEADERS:
            continue
        result[name] = value if name in COMPARED_HEADER_VALUES else ""
        if name == "traceparent":
            result[name] = f"...-{value.rsplit('-', 1)[-1]}"
    return dict(sorted(result.items()))


def differences(ours: list[Any], theirs: list[Any]) -> list[str]:
    """What two shapes differ in, a line for each value: `-` what was recorded, `+` what came."""
    old, new = (json.dumps(one, sort_keys=True, indent=1, default=str).splitlines() for one in (theirs, ours))
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
