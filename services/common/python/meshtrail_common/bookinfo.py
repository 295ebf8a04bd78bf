"""What the services of Bookinfo have in common: how they name each other, and what a product id is."""

from __future__ import annotations

import re

from meshtrail_common.errors import ServiceError
from meshtrail_common.settings import Kind, choice, number

DEFAULT_PORT = "9080"

# What JSON readers of every language take for a whole number (RFC 8259, 6).
_LARGEST_ID = 2**53 - 1

_LABEL = "[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile("-?[0-9]{1,16}")


def _host(value: str) -> str:
    if len(value) > 253 or not (value == "" or _NAME.fullmatch(value)):
        raise ValueError
    return value


HOST_NAME = Kind(_host, "a host name")
SERVICE_PORT = number(1, 65535)
TRUE_FALSE = Kind(lambda value: choice("true", "false").parse(value.lower()) == "true", "one of true, false")


def service_url(host: str, domain: str, port: int) -> str:
    """Return where a service answers, from its *_HOSTNAME, SERVICES_DOMAIN (may be empty) and its *_SERVICE_PORT."""
    return f"http://{host}.{domain}:{port}" if domain else f"http://{host}:{port}"


def product_id(text: str, status: int = 400) -> int:
    """Return a product id; ServiceError `status` when the text is not a whole number in ASCII digits within ±2^53."""
    if not _NUMBER.fullmatch(text) or abs(int(text)) > _LARGEST_ID:
        raise ServiceError(status, "the product id has to be a whole number")
    return int(text)
