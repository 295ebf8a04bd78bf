"""Where load may go: this machine, unless the user says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from meshtrail.errors import MeshtrailError


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved URL. `address` is the IP that requests go to, `authority` what the Host header says."""

    scheme: str
    authority: str
    host: str
    address: str
    port: int
    path: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def resolve(url: str, *, path: str | None = None, allow_remote: bool = False) -> Target:
    """Check and resolve `url`; `path` replaces its own path.

    The name is resolved once and that address used throughout, so it cannot turn into another machine later. Raises
    MeshtrailError for what is no http address, does not resolve, or is not loopback without `allow_remote`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise MeshtrailError(f"{url!r} is not an address: {error}", mend="e.g. http://127.0.0.1:8080") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise MeshtrailError(f"{url!r} is not an http address", mend="e.g. http://127.0.0.1:8080")
    port = port or {"http": 80, "https": 443}[parts.scheme]
    target = path if path is not None else parts.path + (f"?{parts.query}" if parts.query else "")
    target = target or "/"
    if not target.startswith("/") or not target.isascii() or not target.isprintable() or " " in target:
        raise MeshtrailError(f"{target!r} is not a request path", mend="begin it with / and percent-encode the rest")
    addresses = _addresses(parts.hostname, port)
    if not allow_remote and not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise MeshtrailError(
            f"{parts.hostname} ({addresses[0]}) is not this machine; load goes to loopback only",
            mend="load on a system of others is an attack: if this one is yours to load, say --allow-remote",
        )
    return Target(parts.scheme, parts.netloc, parts.hostname, addresses[0], port, target)


def _addresses(host: str, port: int) -> list[str]:
    """IPv4 first: Envoy's and the services' loopback listeners are on 127.0.0.1."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise MeshtrailError(f"{host} does not resolve: {error}", mend="check the name, or give an address") from error
    addresses = dict.fromkeys(str(info[4][0]).partition("%")[0] for info in found)
    return sorted(addresses, key=lambda address: ":" in address)
