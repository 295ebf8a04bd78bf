"""The local mesh as a place for situations: what deployment.py is on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
import yaml
from tests.parity.asking import Key, Object, keyed
from tests.support.documents import documents
from tests.support.mesh import eventually

from meshtrail.local import control, state
from meshtrail.local.control import RemoteError
from meshtrail.local.state import RunningMesh

SETTLED = 0.25
"""Twice what an Envoy waits before it hands its spans over, and a little: one span too many would be here by then."""


class Local:
    """A running mesh; what is laid over it stays for the next situation if that wants it too."""

    def __init__(self, mesh: RunningMesh) -> None:
        self.mesh = mesh
        self._laid: dict[Key, Object] = {}
        self._modes: dict[str, str] = {}
        self._store = httpx.Client(base_url=mesh.jaeger, trust_env=False, timeout=10)

    def close(self) -> None:
        self._store.close()

    def lay(self, texts: Mapping[str, str]) -> None:
        """Make these manifests, and no others, lie over the application."""
        wanted = keyed(one for text in texts.values() for one in documents(text))
        changed = {key: one for key, one in wanted.items() if self._laid.get(key) != one}
        try:
            self._apply(changed)
            self._delete(key for key in list(self._laid) if key not in wanted)
        except RemoteError:
            # What goes refers to what comes, or the other way round: every step has to be a mesh in order.
            self._delete(list(self._laid))
            self._apply(wanted)

    def _apply(self, objects: Mapping[Key, Object]) -> None:
        if objects:
            self._send("/apply", objects.values())
            self._laid |= objects

    def _delete(self, keys: Iterable[Key]) -> None:
        gone = [self._laid[key] for key in keys]
        if gone:
            self._send("/delete", gone)
            self._laid = {key: one for key, one in self._laid.items() if one not in gone}

    def switch(self, modes: Mapping[str, str]) -> None:
        for service in sorted({*modes, *self._modes}):
            mode = modes.get(service, "all")
            if self._modes.get(service, "all") != mode:
                control.call(self.mesh, "PUT", f"/propagation/{service}", {"mode": mode})
                self._modes[service] = mode

    def gateway(self, name: str) -> tuple[str, int]:
        now = state.load(self.mesh.name)
        address = next(process.address for process in now.processes if process.name == name)
        host, port = address.rsplit(":", 1)
        return host, int(port)

    def forget_traces(self) -> None:
        self._store.delete("api/traces").raise_for_status()

    def traces(self, complete: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Every trace, in Jaeger's form, once they are complete and no more spans come; what is there after 10 s."""
        found: list[dict[str, Any]] = []
        count, since = -1, time.monotonic()

        def look() -> bool:
            nonlocal found, count, since
            found = self._all()
            total = sum(len(trace["spans"]) for trace in found)
            if total != count:
                count, since = total, time.monotonic()
            return (complete(found) and time.monotonic() - since >= SETTLED) or time.monotonic() > deadline

        deadline = time.monotonic() + 10
        eventually(look, within=20, what="the trace store answers")
        return found

    def _all(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for service in self._store.get("api/services").json()["data"] or []:
            answer = self._store.get("api/traces", params={"service": service, "limit": 1000})
            found |= {trace["traceID"]: trace for trace in answer.json()["data"]}
        return list(found.values())

    def _send(self, path: str, objects: Iterable[Object]) -> None:
        documents = [{"name": f"{number}.yaml", "text": yaml.safe_dump(one)} for number, one in enumerate(objects)]
        control.call(self.mesh, "POST", path, {"documents": documents})
