"""The application on a cluster at a glance: workloads, pods, and how gateway and Jaeger are reached."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from meshtrail.cluster import objects
from meshtrail.cluster.application import (
    PodStatus,
    containers,
    form_of,
    pod_status,
    pods_of,
    template_labels,
    workloads,
)
from meshtrail.cluster.jaeger import base_url, query_service
from meshtrail.cluster.kubectl import ClusterError
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.reach import forward_command
from meshtrail.cluster.routes import entrance
from meshtrail.cluster.session import PORT_FORWARD, Session, is_gateway


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    """`ready` of `replicas` pods are ready and of the current revision."""

    name: str
    kind: str
    ready: int
    replicas: int
    version: str
    image: str
    form: str

    @property
    def is_ready(self) -> bool:
        return self.ready == self.replicas


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is empty when it takes a port-forward to get there: then `command` is the one, else it is empty too.

    `via` names the way, `host` the Host header that requests need; `problem` is why there is none.
    """

    service: str = ""
    url: str = ""
    via: str = ""
    host: str = ""
    command: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    context: str
    namespace: str
    kubernetes: str
    istio: str
    workloads: tuple[WorkloadStatus, ...]
    pods: tuple[PodStatus, ...]
    gateway: Address
    jaeger: Address

    @property
    def ready(self) -> bool:
        """Every workload has its pods, every pod is ready with a sidecar, gateway and Jaeger are there."""
        return (
            bool(self.workloads)
            and all(one.is_ready for one in self.workloads)
            and all(pod.is_ready for pod in self.pods)
            and not self.gateway.problem
            and not self.jaeger.problem
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "context": self.context,
            "namespace": self.namespace,
            "kubernetes": self.kubernetes,
            "istio": self.istio,
            "ready": self.ready,
            "workloads": [dataclasses.asdict(one) for one in self.workloads],
            "pods": [dataclasses.asdict(pod) for pod in self.pods],
            "gateway": dataclasses.asdict(self.gateway),
            "jaeger": dataclasses.asdict(self.jaeger),
        }


def look(session: Session) -> ClusterStatus:
    """Opens no port-forward: an address that needs one would be gone with the command."""
    snapshot = session.snapshot
    found = workloads(snapshot)
    return ClusterStatus(
        context=snapshot.context,
        namespace=snapshot.namespace,
        kubernetes=snapshot.version,
        istio=istio_version(session),
        workloads=tuple(workload_status(one) for one in found),
        pods=tuple(pod_status(pod) for one in found for pod in pods_of(snapshot, one)),
        gateway=_gateway(session),
        jaeger=_jaeger(session),
    )


def workload_status(workload: Object) -> WorkloadStatus:
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    own = next(iter(containers(workload)), {})
    current = status.get("observedGeneration", 0) >= dig(workload, "metadata", "generation", default=0)
    updated = int(status.get("updatedReplicas") or 0)
    return WorkloadStatus(
        name=objects.name(workload),
        kind=str(workload["kind"]),
        ready=min(int(status.get("readyReplicas") or 0), updated) if current else 0,
        replicas=int(spec.get("replicas", 1)),
        version=template_labels(workload).get("version", ""),
        image=str(own.get("image", "")),
        form=form_of(str(own.get("image", ""))),
    )


def istio_version(session: Session) -> str:
    from meshtrail.cluster.preflight.control_plane import istiod_version, istiods

    return ", ".join(dict.fromkeys(istiod_version(one) for one in istiods(session.snapshot)))


def _gateway(session: Session) -> Address:
    try:
        found = entrance(session.snapshot)
    except ClusterError as error:
        return Address(problem=error.message)
    return _address(session, found.service, found.port, found.host)


def _jaeger(session: Session) -> Address:
    found = query_service(session.snapshot)
    if found is None:
        return Address(problem="no Service tracing or jaeger-query")
    return _address(session, *found)


def _address(session: Session, service: Object, port: int, host: str | None = None) -> Address:
    """`host` None: the Service is Jaeger's, not a gateway's."""
    known = Address(service=objects.key(service), host=host or "")
    if not session.snapshot.ready_endpoints(service):
        return dataclasses.replace(known, problem=f"no ready pod behind {objects.key(service)}")

    def answers(url: str) -> bool:
        return base_url(url) is not None if host is None else is_gateway(url, host)

    direct = session.direct(service, port, answers)
    if direct is None:
        return dataclasses.replace(known, via=PORT_FORWARD, command=forward_command(session.snapshot, service, port))
    url = (base_url(direct.url) or direct.url) if host is None else direct.url
    return dataclasses.replace(known, url=url, via=direct.via)
