"""Every implementation refuses the same values of the environment in the same words: those of Python's table."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
from tests.services.harness import FRONTEND, IMPLEMENTATIONS, KINDS, Implementation, run_to_end

from meshtrail_common.settings import StartError, load, variables
from meshtrail_common.telemetry import OtelSettings

WRONG = [
    ("PORT", "http"),
    ("PORT", "-1"),
    ("PORT", "65536"),
    ("PORT", "0x50"),
    ("PORT", " 80"),
    ("LOG_LEVEL", "INFO"),
    ("PROPAGATION", "B3"),
    ("PROPAGATION_CONTROL", "true"),
    ("CONTROL_PORT", "it's"),
    ("CONTROL_PORT", "1e3"),
    ("BACKEND_URL", "backend:8080"),
    ("BACKEND_URL", "http://"),
    ("BACKEND_URL", "ftp://backend"),
    ("BACKEND_URL", "http://u:p@backend"),
    ("BACKEND_URL", "http://backend:0"),
    ("BACKEND_URL", "http://backend:99999"),
    ("BACKEND_URL", "http://backend/?x=1"),
    ("UPSTREAM_TIMEOUT", "0"),
    ("UPSTREAM_TIMEOUT", "3600.5"),
    ("UPSTREAM_TIMEOUT", "inf"),
    ("UPSTREAM_TIMEOUT", "nan"),
    ("UPSTREAM_TIMEOUT", "5s"),
]
WRONG_OTEL = [
    ("OTEL_PROPAGATORS", "b3,xray"),
    ("OTEL_PROPAGATORS", "none,b3"),
    ("OTEL_TRACES_SAMPLER", "sometimes"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "long"),
    ("OTEL_BSP_SCHEDULE_DELAY", "0"),
    ("OTEL_TRACES_EXPORTER", "zipkin"),
]
# Values at the edge, which every language takes as Python does.
RIGHT = [
    {
        "PORT": "0",
        "LOG_LEVEL": "warning",
        "CONTROL_PORT": "65535",
        "CONTROL_ALLOWED_HOSTS": " a, b,,",
        "BACKEND_URL": "HTTP://backend_1:1/base/",
        "UPSTREAM_TIMEOUT": "3600",
        "OTEL_PROPAGATORS": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://[::1]:65535/",
        "OTEL_EXPORTER_OTLP_TIMEOUT": ".5",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    },
    {
        "BACKEND_URL": "https://backend",
        "UPSTREAM_TIMEOUT": "1e-3",
        "OTEL_PROPAGATORS": "tracecontext, b3",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3.6e3",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "OTEL_TRACES_EXPORTER": "none",
    },
]


def refusal(settings: type[object], service: str, name: str, value: str) -> str:
    """The line that Python's table has for a value."""
    with pytest.raises(StartError) as raised:
        load(settings, {name: value})
    return f"{service}: {raised.value}"


def says(implementation: Implementation, form: str, name: str, value: str) -> str:
    """The one line with which the real process refuses its start."""
    done = run_to_end(implementation, form, **{name: value})
    assert (done.returncode, done.stdout) == (2, ""), f"{name}={value}: {done}"
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("implementation", [one for one in IMPLEMENTATIONS if one.language != "python"], ids=str)
def test_other_languages_refuse_what_python_refuses(implementation: Implementation) -> None:
    settings = import_module(f"{implementation.service}.app").Settings
    known = {entry.name for _, entry in variables(settings)}
    cases = [(settings, "plain", name, value) for name, value in WRONG if name in known]
    cases += [(OtelSettings, "otel", name, value) for name, value in WRONG_OTEL]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda case: says(implementation, *case[1:]), cases))
    assert said == [refusal(of, implementation.service, name, value) for of, _, name, value in cases]


@pytest.mark.parametrize("implementation", [one for one in IMPLEMENTATIONS if one.language != "python"], ids=str)
def test_other_languages_take_what_python_takes(implementation: Implementation) -> None:
    settings = import_module(f"{implementation.service}.app").Settings
    for values in RIGHT:
        load(settings, values)
        load(OtelSettings, values)
        # The first thing that goes wrong behind the settings: an address that is not this machine's.
        done = run_to_end(implementation, "otel", HOST="192.0.2.1", **values)
        assert done.stderr.startswith(f"{implementation.service}: cannot listen on 192.0.2.1 port 0 (PORT)"), values


@pytest.mark.parametrize("implementation", [one for one in KINDS if one.language == "python"], ids=str)
def test_wrong_value_is_one_line_and_status_2(implementation: Implementation) -> None:
    line = says(implementation, "plain", "PROPAGATION", "B3")
    assert line == f"{implementation.service}: PROPAGATION='B3' is not allowed, expected one of all, b3, w3c, none"


def test_wrong_value_for_the_sdk() -> None:
    line = says(FRONTEND, "otel", "OTEL_TRACES_EXPORTER", "zipkin")
    assert line == "frontend: OTEL_TRACES_EXPORTER='zipkin' is not allowed, expected one of otlp, none"
