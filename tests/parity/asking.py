"""What a situation does, the same on a cluster and on the local mesh: the requests it sends, the manifests it lays."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from tests.parity.situations import CLIENT_TRACE, USER_AGENT, Request
from tests.support.mesh import ROOT

from meshtrail.manifests.document import plain
from meshtrail.manifests.kustomize import build

LAID = Path(__file__).parent / "laid"
Answer = list[int | str]
"""Status and body."""
Object = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace and name."""


def ask(address: tuple[str, int], request: Request) -> Answer:
    """One request on a connection of its own; its Host and User-Agent are part of what is compared."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        headers = {"Host": request.host, "User-Agent": USER_AGENT, **dict(request.headers)}
        connection.request(request.method, request.path, headers=headers)
        answer = connection.getresponse()
        return [answer.status, answer.read().decode()]
    finally:
        connection.close()


def ask_all(address_of: Callable[[str], tuple[str, int]], requests: Iterable[Request], trace: str) -> list[Answer]:
    """Every request, as often as it says, one after the other. `address_of` knows where a gateway is; `trace` is the
    id of the client's own trace.
    """
    return [ask(address_of(one.gateway), _in(one, trace)) for one in requests for _ in range(one.count)]


def _in(request: Request, trace: str) -> Request:
    return replace(
        request, headers=tuple((name, value.replace(CLIENT_TRACE, trace)) for name, value in request.headers)
    )


def laid(names: Iterable[str]) -> dict[str, str]:
    """The text of the manifests that a situation lays over its application, by name: files, or kustomizations built."""
    places = {name: ROOT / name if "/" in name else LAID / f"{name}.yaml" for name in names}
    return {
        name: _built(place) if place.is_dir() else place.read_text(encoding="utf-8") for name, place in places.items()
    }


def _built(folder: Path) -> str:
    return yaml.safe_dump_all([plain(one) for one in build(folder, [], set(), {})])


def keyed(objects: Iterable[Object]) -> dict[Key, Object]:
    """Objects by what `kubectl apply` tells them apart by."""
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}
