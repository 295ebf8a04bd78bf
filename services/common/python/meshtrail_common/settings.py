"""Settings come from the environment alone. Each variable stands once: name, default, kind, text.

A service lists its variables as the fields of a frozen dataclass and gets it filled by `load`. A wrong value ends the
start with one line that names the variable, the value and what is allowed. An empty value counts as unset.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from meshtrail_common.propagation import MODES

T = TypeVar("T")
S = TypeVar("S")


class StartError(Exception):
    """The service cannot start and a person can mend it; the message is one line."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read (`parse` raises ValueError) and, in words, what is allowed."""

    parse: Callable[[str], Any]
    allowed: str


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable; `default` is text, as in the environment. A `secret` is never shown."""

    name: str
    default: str
    kind: Kind
    text: str
    secret: bool = False

    def read(self, environ: Mapping[str, str]) -> Any:
        value = environ.get(self.name) or self.default
        try:
            return self.kind.parse(value)
        except ValueError:
            shown = "(hidden)" if self.secret else repr(value)
            raise StartError(f"{self.name}={shown} is not allowed, expected {self.kind.allowed}") from None


def variable(name: str, default: str, kind: Kind, text: str, *, secret: bool = False) -> Any:
    """A dataclass field that `load` fills from the environment variable `name`."""
    return dataclasses.field(metadata={"variable": Variable(name, default, kind, text, secret)})


def variables(cls: type[Any]) -> Iterator[tuple[str, Variable]]:
    """Yield (field name, variable) of a settings class in the order of its definition."""
    for entry in dataclasses.fields(cls):
        yield entry.name, entry.metadata["variable"]


def load(cls: type[S], environ: Mapping[str, str] = os.environ) -> S:
    """Return an instance of a settings class; StartError names the first wrong variable."""
    return cls(**{name: entry.read(environ) for name, entry in variables(cls)})


def choice(*values: str) -> Kind:
    def parse(value: str) -> str:
        if value not in values:
            raise ValueError
        return value

    return Kind(parse, "one of " + ", ".join(values))


def number(low: int, high: int, note: str = "") -> Kind:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 10 and low <= int(value) <= high):
            raise ValueError
        return int(value)

    return Kind(parse, f"a number from {low} to {high}{note}")


def _seconds(value: str) -> float:
    seconds = float(value)
    if not (math.isfinite(seconds) and 0 < seconds <= 3600):
        raise ValueError
    return seconds


def _http_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise ValueError
    if url.port == 0 or any(character.isspace() for character in value):
        raise ValueError
    return value.rstrip("/")


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


TEXT = Kind(str, "text")
PORT = number(0, 65535, " (0: any free port)")
SECONDS = Kind(_seconds, "seconds above 0, at most 3600")
HTTP_URL = Kind(_http_url, "a URL such as http://name:8080")
NAMES = Kind(_names, "names, comma between them")
ON_OFF = Kind(lambda value: cast(bool, choice("on", "off").parse(value) == "on"), "one of on, off")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonSettings:
    """What every service understands."""

    host: str = variable("HOST", "127.0.0.1", TEXT, "address to listen on")
    port: int = variable("PORT", "8080", PORT, "port to listen on")
    log_level: str = variable("LOG_LEVEL", "info", choice("debug", "info", "warning", "error"), "what is logged")
    propagation: str = variable("PROPAGATION", "all", choice(*MODES), "tracing headers forwarded at start")
    propagation_control: bool = variable("PROPAGATION_CONTROL", "off", ON_OFF, "open the control port")
    control_host: str = variable("CONTROL_HOST", "", TEXT, "address of the control port, HOST when empty")
    control_port: int = variable("CONTROL_PORT", "8090", PORT, "control port")
    control_allowed_hosts: tuple[str, ...] = variable(
        "CONTROL_ALLOWED_HOSTS", "", NAMES, "Host names the control port accepts beside the loopback ones"
    )
