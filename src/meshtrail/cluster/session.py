"""A cluster for the time of one command: what was found there, and the port-forwards that lead to it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from meshtrail.cluster import application, objects
from meshtrail.cluster.forward import Forwards
from meshtrail.cluster.http import ask
from meshtrail.cluster.jaeger import INSTALL, base_url, query_service
from meshtrail.cluster.kubectl import ClusterError, Kubectl, connect
from meshtrail.cluster.objects import Object
from meshtrail.cluster.reach import Candidate, Reached, direct_addresses, first_answering
from meshtrail.cluster.routes import Entrance, entrance
from meshtrail.cluster.snapshot import Snapshot, fetch
from meshtrail.local.applications import Application

PORT_FORWARD = "port-forward"
PROBE_WITHIN_S = 1.5


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster and namespace; `context` None is kubectl's current one. `port_forward`: take no other way."""

    context: str | None = None
    namespace: str = application.DEFAULT_NAMESPACE
    port_forward: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway as it is reached; requests carry `host` as their Host header, if it is not empty."""

    reached: Reached
    entrance: Entrance

    @property
    def host(self) -> str:
        return self.entrance.host


class Session:
    """What one command knows of the cluster. Use `opened`."""

    def __init__(self, where: Where, kubectl: Kubectl, snapshot: Snapshot) -> None:
        self.where = where
        self.kubectl = kubectl
        self.snapshot = snapshot
        self.forwards = Forwards(kubectl)

    @property
    def application(self) -> Application:
        """The application of the namespace."""
        return application.deployed(self.snapshot)

    def gateway(self) -> Gateway:
        """Raises ClusterError when there is no way in, or it does not answer."""
        found = entrance(self.snapshot)
        reached = self._reach(found.service, found.port, lambda url: is_gateway(url, found.host))
        if reached.via == PORT_FORWARD and not is_gateway(reached.url, found.host):
            raise ClusterError(
                f"the gateway {reached.service} does not answer on port {found.port}",
                mend="see `meshtrail preflight` and the gateway's pods",
            )
        return Gateway(reached, found)

    def jaeger(self) -> Reached:
        """The address of Jaeger's API, with its base path. Raises ClusterError."""
        found = query_service(self.snapshot)
        if found is None:
            raise ClusterError(
                f"no Jaeger in context '{self.snapshot.context}': no Service tracing or jaeger-query",
                mend=f"{INSTALL}; one that is elsewhere: `meshtrail trace --jaeger URL`",
            )
        reached = self._reach(*found, lambda url: base_url(url) is not None)
        url = base_url(reached.url)
        if url is None:
            raise ClusterError(
                f"{reached.service} does not answer as Jaeger's query API does", mend="see the log of Jaeger's pod"
            )
        return Reached(url, reached.via, reached.service)

    def direct(self, service: Object, port: int, answers: Callable[[str], bool]) -> Candidate | None:
        """An address that works without a port-forward, if there is one and it may be used."""
        if self.where.port_forward:
            return None
        return first_answering(direct_addresses(self.snapshot, service, port), answers)

    def _reach(self, service: Object, port: int, answers: Callable[[str], bool]) -> Reached:
        direct = self.direct(service, port, answers)
        if direct is not None:
            return Reached(direct.url, direct.via, objects.key(service))
        forward = self.forwards.start(objects.namespace(service), f"svc/{objects.name(service)}", port).wait()
        return Reached(forward.url, PORT_FORWARD, objects.key(service))


@contextmanager
def opened(where: Where, *, application_needed: bool = True) -> Iterator[Session]:
    """Look at the cluster, and end every port-forward at the end, whatever ends it. Raises ClusterError."""
    kubectl = connect(where.context)
    snapshot = fetch(kubectl, where.namespace)
    if application_needed:
        application.require(kubectl, snapshot)
    session = Session(where, kubectl, snapshot)
    with _ended_by_signals():
        try:
            yield session
        finally:
            session.forwards.close()


def is_gateway(url: str, host: str) -> bool:
    """Whether an Envoy of Istio answers; with which status does not matter."""
    answer = ask(url, host=host, within=PROBE_WITHIN_S)
    return answer is not None and "istio-envoy" in answer.server


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that what it opened is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
