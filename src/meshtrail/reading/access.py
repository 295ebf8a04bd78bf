"""How a Jaeger is reached: its address, who asks, and what vouches for either side.

Secrets (password, token, headers) are never part of a message or of `repr`; `hidden` takes them out of a text that came
from elsewhere.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from meshtrail.errors import MeshtrailError

EXAMPLE = "e.g. http://127.0.0.1:16686"


@dataclass(frozen=True, slots=True)
class Access:
    """Make it with `Access.of`. `url` holds no user, query or trailing slash; `user` and `token` exclude each other."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure: bool = False

    @classmethod
    def of(
        cls,
        url: str,
        *,
        user: str = "",
        token: str = "",
        headers: Mapping[str, str] | Iterable[str] = (),
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        insecure: bool = False,
    ) -> Access:
        """`user` is `NAME` or `NAME:PASSWORD`, as in `https://NAME:PASSWORD@host`; a header `Name: value`.

        Raises MeshtrailError for what is no address, no header, or cannot stand together.
        """
        address, within = _address(url)
        if user and within:
            raise MeshtrailError("a user both in the address and with --user", mend="give one of them")
        name, _, password = (user or within).partition(":")
        if within:
            name, password = unquote(name), unquote(password)
        if name and token:
            raise MeshtrailError("a user and a token both", mend="give one: --user for basic, --token for bearer")
        if key_file and not cert_file:
            raise MeshtrailError("a key without its certificate", mend="add --cert FILE")
        secure = address.startswith("https:")
        for option, given in (("--ca-file", ca_file), ("--cert", cert_file), ("--insecure", insecure)):
            if given and not secure:
                raise MeshtrailError(f"{option} says something of TLS, and {address} is plain http", mend="use https")
        pairs = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(map(_header, headers))
        _check_secrets(name, password, token, pairs)
        return cls(address, name, password, token, pairs, ca_file, cert_file, key_file, insecure)

    @property
    def host(self) -> str:
        return httpx.URL(self.url).host

    @property
    def remote(self) -> bool:
        """Whether another machine is asked, as far as the name says."""
        try:
            return not ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host != "localhost"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about this way of asking."""
        found = []
        if self.insecure:
            found.append(f"the certificate of {self.host} is not checked (--insecure)")
        if self.remote and self.url.startswith("http:") and (self.password or self.token):
            found.append(f"{self.host} is asked by plain http: the password or token can be read on the way")
        return tuple(found)

    def client(self, timeout_s: float) -> httpx.Client:
        """An HTTP client that asks so. Raises MeshtrailError when a file of certificates cannot be used."""
        headers = dict(self.headers)
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        elif self.user:
            headers["authorization"] = f"Basic {self._basic}"
        return httpx.Client(
            timeout=timeout_s,
            headers=headers,
            # A proxy named by the environment cannot reach this machine's own loopback.
            trust_env=self.remote,
            follow_redirects=False,
            verify=self._tls(),
        )

    def hidden(self, text: str) -> str:
        """`text` with every secret in it replaced by `***`."""
        secrets = {self.password, self.token, *(value for _, value in self.headers)}
        if self.user:
            secrets.add(self._basic)
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def _tls(self) -> ssl.SSLContext | bool:
        if not self.url.startswith("https:"):
            return True
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise MeshtrailError(
                f"no certificates can be read from {self.ca_file}: {_reason(error)}",
                mend="--ca-file names a PEM file with the certificate of the authority that signed Jaeger's",
            ) from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            try:
                # An empty password: a key that asks for one is refused, not asked for on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
            except (OSError, ssl.SSLError, ValueError) as error:
                files = f"{self.cert_file} and {self.key_file}" if self.key_file else str(self.cert_file)
                raise MeshtrailError(
                    f"no client certificate with its key can be read from {files}: {_reason(error)}",
                    mend="--cert names a PEM certificate, --key its PEM key without a password; or one file with both",
                ) from error
        return context


def _address(url: str) -> tuple[str, str]:
    """The address without its user, and that `user:password` as it stands. Messages do not repeat a user."""
    shown = repr(url) if "@" not in url else "this (it is not shown: it names a user)"
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        detail = f": {error}" if "@" not in url else ""
        raise MeshtrailError(f"{shown} is not an address{detail}", mend=EXAMPLE) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise MeshtrailError(f"{shown} is not an http address", mend=EXAMPLE)
    plain = parsed.copy_with(query=None, fragment=None, userinfo=b"")
    return str(plain).rstrip("/"), parsed.userinfo.decode("ascii", "replace")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise MeshtrailError(
            f"a header is `Name: value`; there is no colon behind {name.split('=')[0].strip()!r}",
            mend="e.g. --header 'X-Scope-OrgID: team-a'",
        )
    return name.strip(), value.strip()


def _check_secrets(user: str, password: str, token: str, headers: Iterable[tuple[str, str]]) -> None:
    """A line end in one of them would be a header of its own; other characters HTTP cannot write."""
    named = {"--user": user, "the password": password, "--token": token}
    for name, value in headers:
        if not name.isascii() or any(sign in name for sign in ' \t\r\n\0"(),/:;<=>?@[\\]{}'):
            raise MeshtrailError(f"{name!r} is not a header's name", mend="e.g. --header 'X-Scope-OrgID: team-a'")
        named[f"header {name}"] = value
    for what, value in named.items():
        if any(sign in value for sign in "\r\n\0"):
            raise MeshtrailError(
                f"{what} holds a line end, which no header may", mend="was a whole file read? cut it off: $(cat FILE)"
            )
        if what not in ("--user", "the password") and not value.isascii():
            raise MeshtrailError(f"{what} holds characters that no header may", mend="only ASCII is allowed")


def _reason(error: Any) -> str:
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error)
