"""What a situation does, the same on a cluster and on the local mesh: the requests it sends, the manifests it lays."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from email.message import Message
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
GATEWAY_API = "gateway.networking.k8s.io"
Key = tuple[str, str, str]
"""Kind, namespace and name."""


_SHOWN = re.compile(r"\d of \d stars, \w+|reviews v\d|(?<=class=\")apology")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def ask(address: tuple[str, int], request: Request) -> Answer:
    """One request on a connection of its own; its Host and User-Agent are part of what is compared."""
    headers = {"Host": request.host, "User-Agent": USER_AGENT, **dict(request.headers)}
    if request.user:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        _, given, _ = _exchange(address, "POST", "/login", headers | form, f"username={request.user}")
        headers["Cookie"] = given.get("Set-Cookie", "").partition(";")[0]
    status, received, body = _exchange(address, request.method, request.path, headers)
    return [status, told(received.get("Content-Type", ""), body)]


def _exchange(
    address: tuple[str, int], method: str, path: str, headers: Mapping[str, str], body: str | None = None
) -> tuple[int, Message, str]:
    """Status, headers and body of the answer."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def told(content_type: str, body: str) -> str:
    """What a body says, without the time; of a page what is seen of the services behind it, in order."""
    if content_type.startswith("text/html"):
        return json.dumps(_SHOWN.findall(body))
    return _TIME.sub("<time>", body)


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
    """Objects by what `kubectl apply` tells them apart by. There are two kinds of Gateway: the Gateway API's has its
    group behind its name, as kubectl takes it.
    """
    return {(_kind(one), one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}


def _kind(one: Object) -> str:
    kind, group = one["kind"], one["apiVersion"].rpartition("/")[0]
    return f"{kind}.{group}" if kind == "Gateway" and group == GATEWAY_API else kind
