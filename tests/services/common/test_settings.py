"""Settings from the environment: defaults, kinds, and errors that name variable, value and what is allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from meshtrail_common.settings import (
    HTTP_URL,
    NAMES,
    ON_OFF,
    PORT,
    SECONDS,
    TEXT,
    CommonSettings,
    Kind,
    StartError,
    choice,
    load,
    variable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(CommonSettings):
    port: int = variable("PORT", "3000", PORT, "another default")
    token: str = variable(
        "TOKEN", "", Kind(lambda value: choice("a", "").parse(value), "a or nothing"), "", secret=True
    )


def test_defaults() -> None:
    sample = load(Sample, {})
    assert (sample.host, sample.port, sample.propagation, sample.propagation_control) == (
        "127.0.0.1",
        3000,
        "all",
        False,
    )
    assert (sample.control_host, sample.control_port, sample.control_allowed_hosts) == ("", 8090, ())


def test_environment_wins_and_empty_is_unset() -> None:
    sample = load(Sample, {"PORT": "1", "HOST": "", "PROPAGATION_CONTROL": "on", "CONTROL_ALLOWED_HOSTS": "a, b,"})
    assert (sample.host, sample.port, sample.propagation_control) == ("127.0.0.1", 1, True)
    assert sample.control_allowed_hosts == ("a", "b")


def test_error_names_variable_value_and_allowed() -> None:
    expected = "PROPAGATION='zipkin' is not allowed, expected one of all, b3, w3c, none"
    with pytest.raises(StartError, match=re.escape(expected)):
        load(Sample, {"PROPAGATION": "zipkin"})


def test_error_is_one_line_and_keeps_secrets() -> None:
    with pytest.raises(StartError) as caught:
        load(Sample, {"HOST": "x", "LOG_LEVEL": "a\nb"})
    assert "\n" not in str(caught.value)
    with pytest.raises(StartError) as caught:
        load(Sample, {"TOKEN": "hunter2"})
    assert str(caught.value) == "TOKEN=(hidden) is not allowed, expected a or nothing"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (TEXT, "a b", "a b"),
        (PORT, "0", 0),
        (PORT, "65535", 65535),
        (SECONDS, "0.25", 0.25),
        (SECONDS, "3600", 3600.0),
        (HTTP_URL, "http://backend:8080", "http://backend:8080"),
        (HTTP_URL, "http://backend:8080/", "http://backend:8080"),
        (HTTP_URL, "https://[::1]/base", "https://[::1]/base"),
        (ON_OFF, "off", False),
        (NAMES, "a", ("a",)),
    ],
)
def test_what_is_read(kind: Kind, text: str, value: object) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((PORT, text) for text in ("x", "-1", "65536", "1.5", "1e3", " 80", "٣", "9" * 5000)),
        *((SECONDS, text) for text in ("x", "0", "-1", "nan", "inf", "3601", "5s")),
        *(
            (HTTP_URL, text)
            for text in ("x", "x:8080", "ftp://x", "http://", "http://:80", "http://x:0", "http://x:1e9")
        ),
        *((HTTP_URL, text) for text in ("http://x y", "http://u:p@x", "http://x?a=1", "http://x#a", "http://[::1")),
        *((ON_OFF, text) for text in ("ON", "true", "1", "yes")),
    ],
)
def test_what_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        kind.parse(text)
