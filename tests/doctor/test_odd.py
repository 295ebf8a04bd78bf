"""Traces as no mesh makes them: nothing to crash on, and each finding still says everything."""

from __future__ import annotations

import json
import random

import pytest

from meshtrail.doctor.draw import lines
from meshtrail.doctor.examine import examine
from meshtrail.doctor.report import as_json
from meshtrail.model.span import KINDS, Scalar, Span
from meshtrail.model.trace import Trace

TAGS: dict[str, list[Scalar]] = {
    "component": ["proxy", "x", 1],
    "node_id": ["sidecar~1.2.3.4~a.b~b.svc", "router~~~", "waypoint~1~2~3", "~", "x~y~z~w~v", ""],
    "upstream_cluster": [
        "outbound|80||a.b.svc.cluster.local", "outbound|80|v1|b.b.svc.cluster.local;", "inbound|80||",
        "PassthroughCluster", "-", "", "outbound||", "cluster",
    ],
    "guid:x-request-id": ["1", "2", "", 3],
    "http.url": ["http://a:80/x?y", "//", "a", "http://[::1]/", "https://x", ""],
    "url.full": ["http://b/"],
    "http.status_code": ["200", "0", "abc", 503, 200.5],
    "http.response.status_code": [200],
    "response_flags": ["-", "", "UT,DC"],
    "http.method": ["GET"],
    "http.request.method": ["GET"],
    "istio.namespace": ["a", "b"],
    "istio.canonical_service": ["a", "b"],
    "user_agent": ["kube-probe/1", ""],
    "url.path": ["/healthz", "/123/abc"],
    "otel.scope.name": ["envoy", "f"],
    "error": ["true", False],
}  # fmt: skip


def odd_trace(chance: random.Random, number: int) -> Trace:
    spans = []
    for _ in range(chance.randrange(1, 9)):
        tags = {key: chance.choice(values) for key, values in TAGS.items() if chance.random() < 0.5}
        process: dict[str, Scalar] = {"telemetry.sdk.language": chance.choice(["go", "python"])}
        spans.append(
            Span(
                f"{number:032x}",
                f"{chance.randrange(12):016x}",
                chance.choice([None, f"{chance.randrange(14):016x}"]),
                chance.choice(["a.b", "b.b", "a", "b", "", "istio.x", ".."]),
                chance.choice(["router outbound|", "GET", "a.b.svc.cluster.local:80/*", ""]),
                chance.choice(KINDS),
                chance.choice([0, -5, 10**15, chance.randrange(1000)]),
                chance.choice([0, 5, 10**9, chance.randrange(500)]),
                tags,
                process if chance.random() < 0.5 else {},
            )
        )
    return Trace.of(spans)


@pytest.mark.parametrize("seed", range(3))
def test_odd_traces_are_examined_like_any_other(seed: int) -> None:
    chance = random.Random(seed)
    found = 0
    for _ in range(25):
        traces = [odd_trace(chance, number) for number in range(chance.randrange(1, 12))]
        report = examine(traces, now_us=chance.choice([None, 500, 10**15]))
        json.dumps(as_json(report))
        assert list(lines(report, source="x", width=80))
        for one in report.findings:
            found += 1
            assert 0 <= one.share <= 1
            assert one.count > 0
            assert one.text
            assert one.mend
            assert one.traces
    assert found > 20


def test_no_traces_are_healthy_and_nothing_was_looked_at() -> None:
    report = examine(())
    assert (report.traces, report.requests, report.findings, report.healthy) == (0, 0, (), True)


def test_a_trace_given_twice_counts_once() -> None:
    trace = odd_trace(random.Random(1), 1)
    assert examine([trace, trace]).traces == 1
