"""How long the doctor takes over many traces: `python bench/doctor.py [--requests N]`.

Fills a store with requests as three-tier makes them behind real sidecars (7 spans each, as Istio recorded them), one
of which broke in two at backend, then runs `meshtrail doctor` on it over HTTP as a process of its own. The peer is a
process that merely fetches the same traces, as bytes: the ratio is what reading and examining them costs beside that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.store_ingest import STORE, receiver

RECORDED = Path(__file__).parents[1] / "tests" / "parity" / "recorded"
CULPRIT = "backend"
TARGET_S = 5.0
TARGET_MIB = 300
_BATCH = 200
_RATE = 500  # requests a second, by their times: several are in progress at any one
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}

# Asks as the doctor does, page by page, and reads nothing of what comes.
_FETCH = """
import sys, time, httpx
address, since, until, pages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
moment = lambda us: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 10**6)) + f".{us % 10**6:06}Z"
with httpx.Client(trust_env=False, timeout=60) as client:
    for at in range(pages):
        begin, end = (since + (until - since) * part // pages for part in (at, at + 1))
        query = {"query.start_time_min": moment(begin), "query.start_time_max": moment(end), "query.num_traces": 10000}
        client.get(address + "/api/v3/traces", params=query, headers={"accept": "application/x-protobuf"})
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What a process took, waiting included and of the processor alone; `output` is what it wrote."""

    seconds: float
    cpu_s: float
    peak_mib: float
    status: int
    output: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=9_999, help="healthy ones; one that broke is among them")
    options = parser.parse_args()
    room = ["--max-traces", str(options.requests + 2), "--max-spans", str((options.requests + 1) * 10)]
    with receiver("store", [*STORE, *room, "--max-memory", "2000000000"]) as store:
        since_us, until_us, spans = fill(store.http, options.requests)
        fetch = measured([sys.executable, "-c", _FETCH, store.query, str(since_us), str(until_us), "30"])
        command = [sys.executable, "-m", "meshtrail", "doctor", "--jaeger", store.query, "--since", "2d"]
        doctor = measured([*command, "--limit", str(options.requests + 2), "--json"])
    report = json.loads(doctor.output) if doctor.status in (0, 1) else {}
    table = Table(title=f"The doctor over {options.requests + 1:,} requests, {spans:,} spans")
    for column in ("what", "seconds", "CPU s", "target s", "peak MiB", "target MiB", "of fetching"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("fetch alone", *_times(fetch), "", f"{fetch.peak_mib:.0f}", "", "1.0")
    ratio = f"{doctor.seconds / fetch.seconds:.1f}"
    row = (*_times(doctor), f"{TARGET_S:g}", f"{doctor.peak_mib:.0f}", f"{TARGET_MIB}")
    table.add_row("meshtrail doctor", *row, ratio)
    console = Console(width=None if Console().is_terminal else 100)
    console.print(table)
    named = [(one["rule"], one["service"], one["count"]) for one in report.get("findings", ())]
    console.print(f"{report.get('traces', 0):,} traces examined; found: {named}, exit status {doctor.status}")
    sys.exit(0 if any(rule.startswith("headers-dropped") and CULPRIT in who for rule, who, _ in named) else 1)


def _times(run: Run) -> tuple[str, str]:
    return f"{run.seconds:.1f}", f"{run.cpu_s:.1f}"


def fill(otlp_http: str, healthy: int) -> tuple[int, int, int]:
    """Send the requests; the time of the first and after the last in microseconds, and the number of spans."""
    whole, broken = _recorded("otlp-all"), _recorded("otlp-backend-none")
    chance = random.Random(1)
    at = healthy // 2
    since_us = int(time.time() * 1_000_000) - (healthy + 1) * 1_000_000 // _RATE - 1_000_000
    spans = 0
    headers = {"content-type": "application/x-protobuf"}
    with httpx.Client(base_url=otlp_http, timeout=30, trust_env=False, headers=headers) as client:
        for first in range(0, healthy + 1, _BATCH):
            batch = ExportTraceServiceRequest()
            for number in range(first, min(first + _BATCH, healthy + 1)):
                start_ns = (since_us + number * 1_000_000 // _RATE) * 1000
                for template in broken if number == at else whole:
                    spans += _copy(template, batch, start_ns, chance)
            client.post("/v1/traces", content=batch.SerializeToString()).raise_for_status()
    return since_us, since_us + (healthy + 2) * 1_000_000 // _RATE, spans


def measured(command: Sequence[str]) -> Run:
    """Run it to its end. Memory is the largest that it ever held."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - begin
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Run(took, usage.ru_utime + usage.ru_stime, peak, process.returncode, output)


def _recorded(situation: str) -> list[ExportTraceServiceRequest]:
    """The traces of a recording; times are from the beginning of the first one."""
    items = json.loads((RECORDED / f"{situation}.json").read_text("utf-8"))["traces"]
    inner = items[0]["spans"][-1]
    return [_template(item, inner["start_us"] + 100 if at else 0) for at, item in enumerate(items)]


def _template(item: dict[str, list[dict[str, object]]], offset_us: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for one in item["spans"]:
        group = request.resource_spans.add()
        group.resource.CopyFrom(_resource(str(one["service"])))
        start, duration, parent = one["start_us"], one["duration_us"], one["parent"]
        assert isinstance(start, int)
        assert isinstance(duration, int)
        span = group.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(str(item["trace"]).rjust(32, "0")),
            span_id=bytes.fromhex(str(one["span"]).rjust(16, "0")),
            parent_span_id=bytes.fromhex(str(parent).rjust(16, "0")) if parent else b"",
            name=str(one["operation"]),
            kind=_KINDS.get(str(one["kind"]), 0),
            start_time_unix_nano=(start + offset_us) * 1000,
            end_time_unix_nano=(start + offset_us + duration) * 1000,
            status=Status(),
        )
        tags = one["tags"]
        assert isinstance(tags, dict)
        for key, value in tags.items():
            if not key.startswith(("span.kind", "otel.", "error")):
                span.attributes.add(key=key).value.string_value = str(value)
    return request


def _resource(service: str) -> Resource:
    resource = Resource()
    resource.attributes.add(key="service.name").value.string_value = service
    return resource


def _copy(
    template: ExportTraceServiceRequest, into: ExportTraceServiceRequest, start_ns: int, chance: random.Random
) -> int:
    """Add the same trace with identifiers and times of its own; the number of its spans."""
    at = len(into.resource_spans)
    into.MergeFrom(template)
    trace_id, salt = chance.randbytes(16), chance.getrandbits(64)
    request_id = f"{chance.getrandbits(128):032x}"
    spans = list(_spans(into, at))
    for span in spans:
        span.trace_id = trace_id
        span.span_id = (int.from_bytes(span.span_id) ^ salt).to_bytes(8)
        if span.parent_span_id:
            span.parent_span_id = (int.from_bytes(span.parent_span_id) ^ salt).to_bytes(8)
        span.start_time_unix_nano += start_ns
        span.end_time_unix_nano += start_ns
        for attribute in span.attributes:
            if attribute.key == "guid:x-request-id":
                attribute.value.string_value = request_id
    return len(spans)


def _spans(request: ExportTraceServiceRequest, begin: int) -> Iterator[Span]:
    for group in request.resource_spans[begin:]:
        for scope in group.scope_spans:
            yield from scope.spans


if __name__ == "__main__":
    main()
