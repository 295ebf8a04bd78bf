"""What a real Jaeger is asked, and in what order-free form answers are compared.

`recorded/NAME.otlp.json` and `NAME.zipkin.json` are inputs, `NAME.jaeger.json` the answers of a real Jaeger 2.13.0
(all-in-one, memory storage) that had received only that input. Made and renewed by `python -m tests.store.record`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx

RECORDED = Path(__file__).parent / "recorded"
# The inputs lie around this moment (us since the epoch), so that searches can be the same on every day.
T0_US = 1795224010000000
_START, _END = T0_US - 60_000_000, T0_US + 60_000_000
_ISO = {"query.start_time_min": "2026-11-21T00:00:00Z", "query.start_time_max": "2026-11-22T00:00:00Z"}
_MANY = {"query.num_traces": "100"}  # Jaeger fails without


def inputs() -> list[Path]:
    return sorted([*RECORDED.glob("*.otlp.json"), *RECORDED.glob("*.zipkin.json")])


def answers_of(source: Path) -> Path:
    return RECORDED / f"{source.name.split('.')[0]}.jaeger.json"


def send(client: httpx.Client, source: Path, otlp_http: str, zipkin: str) -> httpx.Response:
    headers = {"content-type": "application/json"}
    if source.name.endswith(".zipkin.json"):
        return client.post(f"{zipkin}/api/v2/spans", content=source.read_bytes(), headers=headers)
    return client.post(f"{otlp_http}/v1/traces", content=source.read_bytes(), headers=headers)


def trace_ids(source: Path) -> list[str]:
    """Trace ids in the input, as 32 hex digits, sorted."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "traceId" in value and ("name" in value):
                found.add(value["traceId"].rjust(32, "0"))
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(json.loads(source.read_bytes()))
    return sorted(found)


def questions(source: Path, services: list[str]) -> list[str]:
    """Paths to ask for, given the services that the input has."""
    paths = ["/api/services", "/api/v3/services"]
    for trace_id in trace_ids(source):
        paths.append(f"/api/traces/{trace_id}")
        if not source.name.startswith("shared-ids"):  # there one span comes twice, which is stored once here
            paths.append(f"/api/traces/{trace_id}?raw=true")
        paths.append(f"/api/traces/{trace_id.lstrip('0').upper()}")
        paths.append("/api/traces?" + urlencode([("traceID", trace_id), ("traceID", "dead")]))
    for service in services:
        paths += [
            f"/api/services/{quote(service, safe='')}/operations",
            f"/api/operations?service={quote(service)}",
            f"/api/operations?service={quote(service)}&spanKind=server",
            f"/api/v3/operations?service={quote(service)}",
            f"/api/v3/operations?service={quote(service)}&span_kind=client",
        ]
        paths += [
            search(service),
            search(service, minDuration="4ms"),
            search(service, maxDuration="1us"),
            search(service, limit="1"),
        ]
        paths += [search(service, start=T0_US + 1), search(service, end=T0_US - 1), search(service, operation="call")]
        for tags in _TAGS:
            paths.append(search(service, tags=json.dumps(tags)))
    paths.append(search(services[0], tag="http.status_code:503"))
    paths.append(f"/api/dependencies?endTs={_END // 1000}&lookback=600000")
    paths.append(f"/api/dependencies?endTs={_START // 1000}&lookback=600000")
    # Last: Jaeger's memory storage hands v3 its own copy, and keeps what the adjusters made of it.
    return paths + _ERRORS + [f"/api/v3/traces/{trace_id}" for trace_id in trace_ids(source)]


_TAGS = (
    {"http.status_code": "503"},
    {"http.status_code": "200"},
    {"big": "9007199254740993"},
    {"half": "0.5", "yes": "true"},
    {"half": "0.50"},
    {"bytes": "3q2+7w=="},
    {"list": '["a",1]'},
    {"exception.type": "ValueError"},
    {"host.name": "h1"},
    {"scope.kind": "library"},
    {"span.kind": "server"},
    {"otel.scope.name": "shop"},
)

_ERRORS = [
    "/api/traces",
    "/api/traces/xyz",
    "/api/traces/" + "1" * 33,
    "/api/traces/00000000000000000000000000000bad",
    "/api/traces?traceID=dead",
    "/api/traces?traceID=zz",
    "/api/traces?service=x&start=yesterday",
    "/api/traces?service=x&limit=many",
    "/api/traces?service=x&limit=99999999999",
    "/api/traces?service=x&minDuration=5",
    "/api/traces?service=x&minDuration=fast",
    "/api/traces?service=x&minDuration=5ms&maxDuration=1ms",
    "/api/traces?service=x&tag=novalue",
    "/api/traces?service=unknown",
    "/api/traces/dead?raw=perhaps",
    "/api/operations",
    "/api/operations?service=unknown",
    "/api/services/unknown/operations",
    "/api/dependencies?endTs=now",
    "/api/dependencies?endTs=1&lookback=long",
    "/api/v3/traces/xyz",
    "/api/v3/traces/dead",
    "/api/v3/operations?service=unknown",
    "/api/v3/traces?query.service_name=x",
    "/api/v3/traces?" + urlencode({"query.service_name": "unknown"} | _ISO | _MANY),
    "/api/v3/traces?" + urlencode({"query.service_name": "x"} | _ISO | {"query.duration_min": "fast"}),
    "/api/v3/traces?" + urlencode({"query.service_name": "x"} | _ISO | {"query.num_traces": "many"}),
]


def search(service: str, **more: Any) -> str:
    return "/api/traces?" + urlencode({"service": service, "start": _START, "end": _END} | more)


def ask(client: httpx.Client, path: str) -> dict[str, Any]:
    response = client.get(path)
    kind = response.headers.get("content-type", "").partition(";")[0]
    try:
        body = response.json()
        # A search is about which traces are found; what they look like is asked by id.
        body = _found(body) if path.startswith("/api/traces?service=") else comparable(body)
    except ValueError:
        body = response.text
    if path.startswith("/api/v3/"):
        kind = ""  # Jaeger 2.13 lets Go guess, which says text/plain
    return {"status": response.status_code, "type": kind, "body": body}


def _found(body: Any) -> Any:
    data = body.get("data")
    return body | {"data": sorted(trace["traceID"] for trace in data) if data is not None else None}


def comparable(body: Any) -> Any:
    """The answer with everything sorted that comes in no particular order from Jaeger, which walks Go maps."""
    if isinstance(body, dict) and "result" in body:
        return sorted((_v3_span(*part) for part in _v3_spans(body["result"])), key=_text)
    if isinstance(body, dict) and isinstance(body.get("data"), list):
        return body | {"data": sorted((_plain(item) for item in body["data"]), key=_text)}
    if isinstance(body, dict):
        return {key: sorted(value, key=_text) if isinstance(value, list) else value for key, value in body.items()}
    return body


def _plain(item: Any) -> Any:
    if not (isinstance(item, dict) and "spans" in item):
        return item
    spans = []
    for span in item["spans"]:
        process = item["processes"][span["processID"]]
        spans.append(
            span
            | {
                "processID": process | {"tags": sorted(process["tags"], key=_text)},
                "tags": sorted(span["tags"], key=_text),
                "logs": sorted((log | {"fields": sorted(log["fields"], key=_text)} for log in span["logs"]), key=_text),
                "warnings": sorted(span["warnings"] or []),
            }
        )
    return item | {"spans": sorted(spans, key=_text), "processes": len(item["processes"])}


def _v3_spans(result: Any) -> list[tuple[Any, Any, Any]]:
    return [
        (resource.get("resource"), scope.get("scope"), span)  # the memory storage loses schema URLs
        for resource in result["resourceSpans"]
        for scope in resource.get("scopeSpans", [])
        for span in scope.get("spans", [])
    ]


def _v3_span(resource: Any, scope: Any, span: Any) -> Any:
    resource = resource | {"attributes": sorted(resource.get("attributes", []), key=_text)}
    span = span | {
        "attributes": sorted((_sorted_warnings(a) for a in span.get("attributes", [])), key=_text),
        "events": sorted(span.get("events", []), key=_text),
    }
    return {"resource": resource, "scope": scope, "span": span}


def _sorted_warnings(attribute: Any) -> Any:
    if attribute.get("key") != "@jaeger@warnings":
        return attribute
    return {"key": attribute["key"], "value": sorted(attribute["value"]["arrayValue"]["values"], key=_text)}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
