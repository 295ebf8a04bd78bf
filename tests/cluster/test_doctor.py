"""The doctor on traces of real sidecars in a real Jaeger: each service switched to each mode, under load.

Here one application of each kind; with MESHTRAIL_EVERYTHING=1 every application, form and language.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping

import pytest
from tests.cluster.support import EVERYTHING, Application, deployed
from tests.cluster.test_cli import meshtrail
from tests.doctor.matrix import Named, Run, read
from tests.support.mesh import eventually

from meshtrail.local.applications import APPLICATIONS
from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

CALLS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "three-tier": {"frontend": ("backend",), "backend": ("database",)},
    "bookinfo": {"productpage": ("details", "reviews"), "reviews": ("ratings",)},
    "helloworld": {},  # it calls nobody: there is nothing to drop, and nothing may be named
}
PATHS = {name: one.path for name, one in APPLICATIONS.items()}
RULES = {"none": "headers-dropped", "b3": "format-mismatch"}
REQUESTS = 40
FLUSH_S = 6.0
"""A sidecar keeps its spans for up to 5 s."""
APART_S = 1.5
"""Between two stretches, so that each trace's start says to which it belongs."""


OVERLAYS = [("dev", "three-tier"), ("dev-polyglot-otel", "three-tier"), ("bookinfo", "bookinfo")]
MORE = [
    ("dev-otel", "three-tier"),
    ("dev-polyglot", "three-tier"),
    ("bookinfo-otel", "bookinfo"),
    ("helloworld", "helloworld"),
    ("helloworld-go-otel", "helloworld"),
]


@pytest.mark.parametrize(("overlay", "name"), OVERLAYS + MORE if EVERYTHING else OVERLAYS)
def test_the_doctor_names_exactly_who_broke_what(overlay: str, name: str, jaeger: str) -> None:
    with deployed(f"k8s/overlays/{overlay}") as application:
        forwarding = list(CALLS[name])
        run = Run(application.target(PATHS[name]), margin_us=300_000)
        whole(application, jaeger, PATHS[name])
        send(run, "healthy", count=3 * REQUESTS)
        for service, mode in itertools.product(forwarding, ("none", "b3")):
            meshtrail(application, "propagation", service, mode)
            send(run, f"{service} {mode}", culprits(application, name, [(service, mode)]))
            meshtrail(application, "propagation", service, "all")
        both = list(zip(forwarding, ("b3", "none"), strict=False))
        for service, mode in both:
            meshtrail(application, "propagation", service, mode)
        send(run, "both", culprits(application, name, both))
        for service in forwarding:
            meshtrail(application, "propagation", service, "all")
        send(run, "mended")
        time.sleep(FLUSH_S)
        mine = [trace for trace in read(jaeger, since_us=run.start_us) if of(application, trace)]
        assert run.wrong(mine) == []
        assert_the_apis_agree(jaeger, application, run)
        # The command finds the application and its Jaeger by itself.
        out, _ = meshtrail(application, "doctor", "--since", "15m", "--json", status=1 if forwarding else 0)
        named = {(one["rule"], one["service"]) for one in json.loads(out)["findings"]}
        rules = {"headers-dropped", "headers-dropped-partly", "format-mismatch"}
        assert {service for rule, service in named if rule in rules} == {
            f"{service}.{application.namespace}" for service in forwarding
        }


def assert_the_apis_agree(jaeger: str, application: Application, run: Run) -> None:
    """Jaeger's classic API and v3, which gives OTLP, tell the same of the same traces."""
    start, end = run.stretches[0].start_us, run.stretches[0].end_us
    with JaegerClient(jaeger) as client:
        v3, classic = client.search_all(start_us=start, end_us=end), client.search(application.gateway)
        assert v3 is not None
        one, other = (
            {trace.trace_id: facts(trace) for trace in api.read(api.ask(start, end, 1000)) if of(application, trace)}
            for api in (v3, classic)
        )
    assert one == other
    assert len(one) >= run.stretches[0].requests


def facts(trace: Trace) -> list[str]:
    return sorted(
        f"{span.span_id} {span.parent_id} {span.service} {span.name} {span.kind} {span.start_us} {span.duration_us} "
        f"{span.http_status} {span.error} {span.request_id} {span.destination}"
        for span in trace.spans
    )


def whole(application: Application, jaeger: str, path: str) -> None:
    """Until a request leaves one complete trace: pods that just started may miss their first configuration."""

    def complete() -> bool:
        mark = f"meshtrail-test/{time.time_ns()}"
        since_us = time.time_ns() // 1000 - 300_000
        assert application.get(path, headers={"user-agent": mark}).status_code == 200
        time.sleep(FLUSH_S)
        found = [trace for trace in read(jaeger, since_us=since_us) if of(application, trace)]
        return len(found) == 1 and found[0].complete

    eventually(complete, within=60, what="one request, one trace")


def send(run: Run, what: str, expected: Iterable[Named] = (), *, count: int = REQUESTS) -> None:
    time.sleep(APART_S)
    run.send(what, expected, count=count)


def culprits(application: Application, name: str, switched: Iterable[tuple[str, str]]) -> set[Named]:
    space = application.namespace
    return {
        (RULES[mode], f"{service}.{space}", f"{called}.{space}")
        for service, mode in switched
        for called in CALLS[name][service]
    }


def of(application: Application, trace: Trace) -> bool:
    """Others send to the same Jaeger."""
    return any(service.endswith(f".{application.namespace}") for service in trace.services)
