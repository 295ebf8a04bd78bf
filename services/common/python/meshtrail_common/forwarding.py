"""Which headers a service copies from the request it received to the requests that it makes.

A sidecar sees a request come in and another go out; only the application knows that the second belongs to the first.
Copying these headers says so, and it is all that a service without a tracing SDK has to do.

The list stands once, in services/common/headers.json, for every language. A header that is not in it is forwarded when
its name begins with one of the `prefixes`: the families of the vendors grow (x-datadog-tags, sw8-correlation), and the
rule need not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meshtrail_common.propagation import Switch

HEADERS_FILE = Path(__file__).parents[2] / "headers.json"

# What RFC 9110 lets a field value hold (5.5). Some servers accept more than clients then agree to send.
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class HeaderList:
    """The content of headers.json; every name is lower case."""

    groups: dict[str, str]  # tracing header -> request-id | b3 | w3c | vendor
    prefixes: tuple[tuple[str, str], ...]  # (prefix, group)
    routing: frozenset[str]
    modes: dict[str, frozenset[str]]  # PROPAGATION mode -> groups that it forwards

    def group(self, name: str) -> str | None:
        """Return the group of a tracing header (lower case), None for any other header."""
        if name in self.groups:
            return self.groups[name]
        return next((group for prefix, group in self.prefixes if name.startswith(prefix)), None)


def load_headers(path: Path = HEADERS_FILE) -> HeaderList:
    content = json.loads(path.read_text(encoding="utf-8"))
    return HeaderList(
        groups={entry["name"]: entry["group"] for entry in content["tracing"]},
        prefixes=tuple((entry["prefix"], entry["group"]) for entry in content["prefixes"]),
        routing=frozenset(content["routing"]),
        modes={mode: frozenset(groups) for mode, groups in content["modes"].items()},
    )


HEADERS = load_headers()


@dataclass(slots=True)
class Forwarder:
    """Picks the headers to copy: `forward(request.headers.items())`.

    `routing` names the routing headers that this application needs further inside the mesh. `injected` names the
    groups that a tracing SDK writes on the outgoing request by itself: a copy of the incoming ones would point past
    the SDK's spans. `private_cookies` names cookies that are this service's own and cut out of a `cookie` header.
    """

    switch: Switch
    routing: frozenset[str] = frozenset()
    injected: frozenset[str] = frozenset()
    private_cookies: frozenset[str] = frozenset()

    def __call__(self, headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
        """Return the headers to send, names in lower case, each name once.

        A header that came several times is sent once, its values joined with a comma, as RFC 9110 (5.3) has it. An
        empty one (Envoy's OpenTelemetry tracer sends an empty tracestate) says nothing and is left out.
        """
        groups = HEADERS.modes[self.switch.mode] - self.injected
        picked: dict[str, str] = {}
        for key, value in headers:
            name, value = key.lower(), value.strip()
            if name == "cookie" and self.private_cookies:
                value = without_cookies(value, self.private_cookies)
            if (name in self.routing or HEADERS.group(name) in groups) and _FIELD_VALUE.fullmatch(value):
                picked[name] = f"{picked[name]},{value}" if name in picked else value
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in picked.items()]


def without_cookies(value: str, names: frozenset[str]) -> str:
    """Return a `cookie` header without the cookies of these names; empty when there is no other."""
    cookies = (cookie.strip() for cookie in value.split(";"))
    return "; ".join(cookie for cookie in cookies if cookie.partition("=")[0].strip() not in names)
