"""The application on a cluster: its workloads, its pods, and in which namespace it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from meshtrail.cluster import objects
from meshtrail.cluster.kubectl import ClusterError, Kubectl
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.snapshot import GATEWAY_API, Snapshot
from meshtrail.local.applications import APPLICATIONS, DEFAULT_APPLICATION, Application

DEFAULT_NAMESPACE = "meshtrail"
PART_OF = "app.kubernetes.io/part-of"
SIDECAR = "istio-proxy"
CONTROL_PORT = 8090
DEPLOY = f"skaffold run, or kubectl apply -k {', or '.join(app.overlay for app in APPLICATIONS.values())}"


@dataclass(frozen=True, slots=True)
class PodStatus:
    """`ready` of `containers` are ready, native sidecars counted as kubectl does; `restarts` of all together.

    `phase` is the pod's, or why one of its containers waits (`CrashLoopBackOff`, `ImagePullBackOff`).
    `form` is plain or otel, empty where the image does not tell; `switch` says that its propagation can be switched.
    """

    name: str
    service: str
    phase: str
    ready: int
    containers: int
    restarts: int
    sidecar: str
    version: str
    image: str
    form: str
    switch: bool

    @property
    def is_stuck(self) -> bool:
        """It will not get ready by waiting."""
        return self.phase.endswith(("BackOff", "Error"))

    @property
    def is_ready(self) -> bool:
        return self.phase == "Running" and self.containers > 0 and self.ready == self.containers


def workloads(snapshot: Snapshot) -> tuple[Object, ...]:
    """Deployments and StatefulSets of the namespace but for gateways, which Istio makes there for the Gateway API."""
    return tuple(
        one
        for kind in ("Deployment", "StatefulSet")
        for one in snapshot.of(kind, snapshot.namespace)
        if f"{GATEWAY_API}/gateway-name" not in template_labels(one)
    )


def template_labels(workload: Object) -> dict[str, str]:
    return dict(dig(workload, "spec", "template", "metadata", "labels", default={}))


def template_annotations(workload: Object) -> dict[str, str]:
    return dict(dig(workload, "spec", "template", "metadata", "annotations", default={}))


def containers(workload: Object) -> list[Object]:
    return list(dig(workload, "spec", "template", "spec", "containers", default=[]))


def pods_of(snapshot: Snapshot, workload: Object) -> tuple[Object, ...]:
    """Its pods that have not ended and are not ending."""
    selector = dig(workload, "spec", "selector", "matchLabels", default={})
    found = snapshot.selected("Pod", objects.namespace(workload), selector)
    return tuple(pod for pod in found if dig(pod, "metadata", "deletionTimestamp") is None)


def pod_status(pod: Object) -> PodStatus:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    # An init container that restarts always is a sidecar: it runs beside the others, and kubectl counts it.
    native = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    counted = [*native, *(spec.get("containers") or [])]
    names = {one["name"] for one in counted}
    states = [
        one
        for one in (*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or []))
        if one["name"] in names
    ]
    proxy = next((one for one in counted if one["name"] == SIDECAR), None)
    own: Object = next((one for one in counted if one["name"] != SIDECAR), {})
    image = str(own.get("image", ""))
    labels = objects.labels(pod)
    return PodStatus(
        name=objects.name(pod),
        service=labels.get("app", ""),
        phase=_phase(pod, states),
        ready=sum(bool(one.get("ready")) for one in states),
        containers=len(counted),
        restarts=sum(int(one.get("restartCount", 0)) for one in states),
        sidecar=image_tag(str(proxy.get("image", ""))) if proxy else "",
        version=labels.get("version", ""),
        image=image,
        form=form_of(image),
        switch=has_switch(own),
    )


def _phase(pod: Object, states: Iterable[Object]) -> str:
    if dig(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    waiting = (str(dig(one, "state", "waiting", "reason", default="")) for one in states)
    stuck = next((reason for reason in waiting if reason.endswith(("BackOff", "Error"))), "")
    return stuck or str(dig(pod, "status", "phase", default="Unknown"))


def form_of(image: str) -> str:
    """Images are named `<service>-<language>[-otel]`, whatever a registry puts before; of others it is not known."""
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    found = re.search(r"-(?:python|node|go)(-otel)?$", name)
    if found is None:
        return ""
    return "otel" if found[1] else "plain"


def image_tag(image: str) -> str:
    """The tag of an image; `unknown` of one that is named by digest alone."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[2] or "unknown"


def has_switch(container: Object) -> bool:
    """Whether the container listens on its control port (k8s/components/propagation-control)."""
    return objects.environment(container).get("PROPAGATION_CONTROL") == "on"


def deployed(snapshot: Snapshot) -> Application:
    """The application of the namespace, as its workloads are labelled; of workloads of others, the default's ways."""
    named = {objects.labels(one).get(PART_OF) for one in workloads(snapshot)}
    return next((app for name, app in APPLICATIONS.items() if name in named), APPLICATIONS[DEFAULT_APPLICATION])


def require(kubectl: Kubectl, snapshot: Snapshot) -> None:
    """Raises ClusterError naming where the application is, when the namespace has no workload."""
    if workloads(snapshot):
        return
    place = snapshot.namespace
    absent = snapshot.namespace_object() is None and "namespaces" not in snapshot.forbidden
    message = f"no namespace {place}" if absent else f"no application in namespace {place}"
    holding = namespaces_with(kubectl)
    mend = f"deploy it: {DEPLOY}"
    if holding:
        mend = f"say --namespace {holding[0]}" if len(holding) == 1 else f"--namespace with one of {', '.join(holding)}"
    elif holding is None:
        mend = f"name its namespace with --namespace, or {mend}"
    raise ClusterError(f"{message} of context '{snapshot.context}'", mend=mend)


def namespaces_with(kubectl: Kubectl) -> list[str] | None:
    """The namespaces that hold one of our applications; None when the user may not look everywhere."""
    found, denied = kubectl.objects(
        ["deployments.apps"], everywhere=True, selector=f"{PART_OF} in ({', '.join(APPLICATIONS)})"
    )
    return None if denied else _names(found)


def _names(found: Iterable[Object]) -> list[str]:
    return sorted({objects.namespace(one) for one in found})
