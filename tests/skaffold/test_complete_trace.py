"""The script of `skaffold verify`: which traces it calls complete, and that it waits for the last span of one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest
from tests.model.recorded import BROKEN, recorded
from tests.reading.jaeger_server import JaegerServer, jaeger_server
from tests.support.mesh import ROOT

from meshtrail.model.trace import Trace

URL = "http://gateway.example/?verify=1234"
GATEWAY = "istio-ingressgateway.istio-system"


def asked_for(trace: Trace) -> Trace:
    return Trace.of(replace(span, tags={**span.tags, "http.url": URL}) for span in trace.spans)


def without(trace: Trace, span_id: str) -> Trace:
    return Trace.of(span for span in trace.spans if span.span_id != span_id)


WHOLE = asked_for(recorded("otlp-all")[0])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("complete_trace", ROOT / "k8s/verify/complete_trace.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setenv("GATEWAY_SERVICE", GATEWAY)
    monkeypatch.setenv("SERVICES", "frontend.default,backend.default,database.default")
    monkeypatch.setenv("SPANS", str(len(WHOLE.spans)))
    return module


@pytest.fixture
def jaeger(monkeypatch: pytest.MonkeyPatch) -> Iterator[JaegerServer]:
    with jaeger_server(base_path="/jaeger") as server:
        monkeypatch.setenv("JAEGER_URL", server.url)
        yield server


def test_the_whole_trace_is_said(script: ModuleType, jaeger: JaegerServer, capsys: pytest.CaptureFixture[str]) -> None:
    jaeger.traces.append(WHOLE)
    assert script.wait_for_trace(URL) == []
    assert f"one complete trace in Jaeger: {len(WHOLE.spans)} spans of {GATEWAY}, " in capsys.readouterr().out


@pytest.mark.parametrize("late", [span.span_id for span in WHOLE.spans])
def test_it_waits_for_the_last_span(
    script: ModuleType, jaeger: JaegerServer, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """Jaeger shows a trace whose spans are still arriving. Whichever comes last, it is waited for."""
    jaeger.traces.append(without(WHOLE, late))

    def arrives(_: float) -> None:
        jaeger.traces[:] = [WHOLE]

    monkeypatch.setattr(script.time, "sleep", arrives)
    assert script.wait_for_trace(URL) == []
    assert len(jaeger.asked) == 2


@pytest.mark.parametrize("situation", BROKEN)
def test_a_broken_trace_is_not_complete(
    script: ModuleType, jaeger: JaegerServer, monkeypatch: pytest.MonkeyPatch, situation: str
) -> None:
    monkeypatch.setattr(script, "TRACE_WITHIN", 0.05)
    monkeypatch.setattr(script.time, "sleep", lambda _: None)
    jaeger.traces.extend(asked_for(trace) for trace in recorded(situation))
    assert any("who dropped the headers?" in problem for problem in script.wait_for_trace(URL))


def test_no_trace_is_said(script: ModuleType, jaeger: JaegerServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "TRACE_WITHIN", 0.05)
    assert "no trace of these requests arrived" in script.wait_for_trace(URL)[0]
