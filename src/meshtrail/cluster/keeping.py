"""What a namespace holds at a moment, so that it can be given back: plain objects without what the cluster adds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshtrail.cluster import applying, objects
from meshtrail.cluster.kubectl import Kubectl

Object = dict[str, Any]

CORE = (
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "services",
    "configmaps",
    "serviceaccounts",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "horizontalpodautoscalers.autoscaling",
)
ISTIO_AND_GATEWAY = {
    "networking.istio.io": (
        "gateways", "virtualservices", "destinationrules", "serviceentries", "envoyfilters", "sidecars", "proxyconfigs",
    ),
    "telemetry.istio.io": ("telemetries",),
    "security.istio.io": ("authorizationpolicies", "peerauthentications", "requestauthentications"),
    "gateway.networking.k8s.io": ("gateways", "httproutes"),
}  # fmt: skip
OF_THE_CLUSTER = frozenset(
    {("ConfigMap", "kube-root-ca.crt"), ("ConfigMap", "istio-ca-root-cert"), ("ServiceAccount", "default")}
)
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KINDS_A_CALL = 8
ADDED = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
ADDED_ANNOTATIONS = ("deployment.kubernetes.io/revision",)


def resource(kind: str) -> str:
    """What kubectl calls a kind; Istio's where several groups have it."""
    for group, names in ISTIO_AND_GATEWAY.items():
        for name in names:
            if kind.lower() in (name.removesuffix("s"), name.removesuffix("ies") + "y"):
                return f"{name}.{group}"
    return kind.lower()


def snapshot(kubectl: Kubectl, namespace: str, touched: Sequence[str] = ()) -> list[Object]:
    """The objects of a namespace, the Namespace itself with them, and of `touched` (`Kind/namespace/name`) those that
    are there. Not those that another object owns, nor Secrets. Raises ClusterError."""
    served = {line.partition("/")[0] for line in kubectl.run("api-versions", "--request-timeout=5s").split()}
    further = [f"{name}.{group}" for group, names in ISTIO_AND_GATEWAY.items() if group in served for name in names]
    kinds = [*CORE, *further]
    found: list[Any] = []
    # kubectl asks for one kind after the other: a call with all of them is a long one.
    for first in range(0, len(kinds), KINDS_A_CALL):
        found += kubectl.objects(kinds[first : first + KINDS_A_CALL], namespace=namespace)[0]
    kept = [plain(one) for one in found if _ours(one)]
    for reference in (f"Namespace//{namespace}", *touched):
        one = get(kubectl, *reference.split("/"))
        if one is not None:
            kept.append(plain(one))
    return kept


def get(kubectl: Kubectl, kind: str, namespace: str, name: str) -> Object | None:
    """One object as it is; None when it is not there."""
    place = ["-n", namespace] if namespace else []
    text = kubectl.run(*place, "get", resource(kind), name, "--ignore-not-found", "-o", "json")
    found: Object | None = json.loads(text) if text.strip() else None
    return found


def plain(one: Mapping[str, Any]) -> Object:
    """An object without what the cluster writes into it."""
    copy: Object = json.loads(json.dumps(one))
    copy.pop("status", None)
    meta = copy["metadata"]
    for field in ADDED:
        meta.pop(field, None)
    for name in ADDED_ANNOTATIONS:
        (meta.get("annotations") or {}).pop(name, None)
    if not meta.get("annotations", True):
        del meta["annotations"]
    return copy


def _ours(one: Mapping[str, Any]) -> bool:
    return (
        not objects.dig(one, "metadata", "ownerReferences") and (one["kind"], objects.name(one)) not in OF_THE_CLUSTER
    )


def identity(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return objects.group(one), str(one["kind"]), objects.namespace(one), objects.name(one)


def give_back(
    kubectl: Kubectl, namespace: str, kept: Iterable[Object], touched: Sequence[str], *, wait: bool = True
) -> list[str]:
    """Make the objects what they were when `snapshot` gave `kept`; names of what changed. Raises ClusterError.

    With `wait` it returns when the pods of changed workloads are ready.
    """
    before = {identity(one): one for one in kept}
    now = {identity(one): one for one in snapshot(kubectl, namespace, touched)}
    gone = [one for key, one in now.items() if key not in before]
    missing = [one for key, one in before.items() if key not in now]
    changed = [one for key, one in before.items() if key in now and now[key] != one]
    # The namespace first: its label decides whether new pods get a sidecar.
    missing.sort(key=_rank)
    changed.sort(key=_rank)
    if gone:
        applying.send(kubectl, "delete", gone, "--ignore-not-found")
    if missing:
        applying.send(kubectl, "create", missing)
    if changed:
        applying.send(kubectl, "replace", changed)
        _say_what_was_applied(kubectl, changed)
    touched_now = [*missing, *changed]
    if any(one["kind"] == "Namespace" for one in changed):
        # Pods that came while the label was another one keep what they have.
        kubectl.run("-n", namespace, "delete", "pods", "--all", "--wait=false")
        touched_now += [one for one in before.values() if one["kind"] in ("Deployment", "StatefulSet")]
    if wait:
        for one in touched_now:
            if one["kind"] in ("Deployment", "StatefulSet"):
                applying.rolled_out(kubectl, objects.namespace(one), f"{one['kind'].lower()}/{objects.name(one)}")
    return [objects.title(one) for one in (*gone, *missing, *changed)]


def _say_what_was_applied(kubectl: Kubectl, replaced: Iterable[Object]) -> None:
    """`kubectl replace` writes the whole object into this annotation; the next apply goes by what was applied."""
    for one in replaced:
        applied = objects.annotations_of(one).get(APPLIED)
        if applied is not None:
            place = ["-n", objects.namespace(one)] if objects.namespace(one) else []
            named = f"{resource(one['kind'])}/{objects.name(one)}"
            kubectl.run(*place, "annotate", "--overwrite", named, f"{APPLIED}={applied}")


def _rank(one: Mapping[str, Any]) -> int:
    order = ("Namespace", "ServiceAccount", "ConfigMap", "Service")
    return order.index(one["kind"]) if one["kind"] in order else len(order)
