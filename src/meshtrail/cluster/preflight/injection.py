"""Sidecars: the namespace gets them, every pod has one, and it is of the control plane's version."""

from __future__ import annotations

from collections.abc import Mapping

from meshtrail.cluster import objects
from meshtrail.cluster.application import (
    DEPLOY,
    SIDECAR,
    image_tag,
    pod_status,
    pods_of,
    template_annotations,
    template_labels,
    workloads,
)
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.preflight.control_plane import istiod_version, istiods
from meshtrail.cluster.preflight.findings import Finding, fail, listed, ok, warn
from meshtrail.cluster.snapshot import Snapshot
from meshtrail.cluster.versions import parsed, shown

INJECT = "sidecar.istio.io/inject"
AMBIENT = "istio.io/dataplane-mode"


def namespace(snapshot: Snapshot) -> list[Finding]:
    """The namespace is labelled so that one of Istio's webhooks injects into it."""
    place = snapshot.namespace
    found = snapshot.namespace_object()
    if found is None:
        if "namespaces" in snapshot.forbidden:
            return [warn("injection", f"may not look at namespace {place}", f"kubectl get namespace {place}")]
        return [fail("injection", f"no namespace {place}", DEPLOY)]
    return [_labelled(snapshot, found)]


def namespace_to_be(snapshot: Snapshot) -> list[Finding]:
    """Before the application is deployed: its manifests bring namespace and label, but not to pods that run already."""
    place = snapshot.namespace
    found = snapshot.namespace_object()
    if found is None:
        return [ok("injection", f"no namespace {place} yet; the manifests make it, labelled for injection")]
    finding = _labelled(snapshot, found)
    return [warn(finding.check, finding.seen, finding.mend) if finding.level == "fail" else finding]


def _labelled(snapshot: Snapshot, found: Object) -> Finding:
    place, labels = objects.name(found), objects.labels(found)
    mend = f"kubectl label namespace {place} istio-injection=enabled --overwrite"
    restart = f"{mend}, then kubectl -n {place} rollout restart deployment"
    said = labels.get("istio-injection"), labels.get("istio.io/rev")
    if labels.get(AMBIENT) == "ambient":
        return warn(
            "injection",
            f"namespace {place} is in ambient mode: only gateways and waypoints make spans",
            "see docs/ambient.md for what such traces lack",
        )
    if said == (None, None):
        return fail("injection", f"namespace {place} has no label for injection: its pods get no sidecar", restart)
    shown_label = f"istio-injection={said[0]}" if said[0] is not None else f"istio.io/rev={said[1]}"
    webhooks = snapshot.of("MutatingWebhookConfiguration")
    if webhooks:
        if injected(webhooks, labels, {}):
            return ok("injection", f"namespace {place} is labelled {shown_label}")
        if said[0] is None:
            return fail(
                "injection",
                f"namespace {place} is labelled {shown_label}: no such revision or tag is installed",
                f"istioctl tag list shows those that are; or kubectl label namespace {place} "
                "istio.io/rev- istio-injection=enabled",
            )
        if said[0] == "enabled":
            return fail(
                "injection",
                f"namespace {place} is labelled {shown_label}, and no webhook of Istio heeds that",
                "istioctl tag set default --revision REVISION, or label it istio.io/rev=REVISION",
            )
    elif said[0] == "enabled" or said[0] is None:
        return ok("injection", f"namespace {place} is labelled {shown_label}")
    return fail("injection", f"namespace {place} is labelled {shown_label}: its pods get no sidecar", restart)


def injected(webhooks: tuple[Object, ...], namespace_labels: Mapping[str, str], pod_labels: Mapping[str, str]) -> bool:
    """Whether one of Istio's injection webhooks selects a pod: what the API server itself goes by."""
    return any(
        objects.matches(webhook.get("namespaceSelector"), namespace_labels)
        and objects.matches(webhook.get("objectSelector"), pod_labels)
        for configuration in webhooks
        for webhook in configuration.get("webhooks") or []
        if str(webhook.get("name", "")).endswith("sidecar-injector.istio.io")
    )


def application(snapshot: Snapshot) -> list[Finding]:
    """The workloads are there, and all their pods are ready."""
    place, found = snapshot.namespace, workloads(snapshot)
    if not found:
        return [
            fail(
                "application",
                f"no Deployment in namespace {place}",
                f"{DEPLOY}; another namespace: --namespace NAME",
            )
        ]
    findings = []
    for one in found:
        pods = [pod_status(pod) for pod in pods_of(snapshot, one)]
        unready = [f"{pod.name} {pod.ready}/{pod.containers} {pod.phase}" for pod in pods if not pod.is_ready]
        wanted = int(dig(one, "spec", "replicas", default=1))
        stuck = any(pod.is_stuck for pod in pods)
        if unready and not stuck and len(pods) - len(unready) >= wanted > 0:
            seen = f"{objects.name(one)} is being rolled out: {listed(unready)}"
            mend = f"kubectl -n {place} rollout status {one['kind'].lower()} {objects.name(one)}"
            findings.append(warn("application", seen, mend))
        elif unready:
            mend = f"kubectl -n {place} describe pod {unready[0].split()[0]}"
            findings.append(fail("application", f"{objects.name(one)}: {listed(unready)}", mend))
        elif len(pods) < wanted:
            seen = f"{objects.name(one)} has {len(pods)} of {wanted} pods"
            findings.append(
                fail("application", seen, f"kubectl -n {place} describe {one['kind'].lower()} {objects.name(one)}")
            )
        elif wanted == 0:
            seen, mend = (
                f"{objects.name(one)} is scaled to 0",
                f"kubectl -n {place} scale deployment --all --replicas=1",
            )
            findings.append(warn("application", seen, mend))
    if not findings:
        names = listed([objects.name(one) for one in found], 8)
        count = sum(len(pods_of(snapshot, one)) for one in found)
        findings.append(ok("application", f"{names}: {count} pods ready"))
    return findings


def sidecars(snapshot: Snapshot) -> list[Finding]:
    """Every pod of the application has a sidecar; a pod without one says whether its own manifest forbids it."""
    place = snapshot.namespace
    if dig(snapshot.namespace_object(), "metadata", "labels", AMBIENT) == "ambient":
        return []
    without: list[str] = []
    forbidden: list[str] = []
    counted = 0
    for workload in workloads(snapshot):
        pods = pods_of(snapshot, workload)
        bare = [pod for pod in pods if not pod_status(pod).sidecar]
        counted += len(pods)
        if not bare:
            continue
        said = template_labels(workload).get(INJECT, template_annotations(workload).get(INJECT))
        (forbidden if said == "false" else without).append(objects.name(workload))
    findings = []
    if forbidden:
        findings.append(
            fail(
                "sidecars",
                f'{listed(forbidden)}: {INJECT} is "false" in the pod template, so no sidecar',
                f"take the label or annotation {INJECT} out of the Deployment",
            )
        )
    if without:
        findings.append(
            fail(
                "sidecars",
                f"{listed(without)}: pods without a sidecar, started before injection was on",
                f"kubectl -n {place} rollout restart deployment {' '.join(without)}",
            )
        )
    if counted and not findings:
        findings.append(ok("sidecars", f"{counted} of {counted} pods have a sidecar"))
    return findings


def sidecar_versions(snapshot: Snapshot) -> list[Finding]:
    """A sidecar keeps its version until its pod restarts; Istio supports two minors between it and istiod."""
    planes = [number for one in istiods(snapshot) if (number := parsed(istiod_version(one)))]
    if not planes:
        return []
    old: dict[str, list[str]] = {}
    for workload in workloads(snapshot):
        for pod in pods_of(snapshot, workload):
            number = parsed(_proxy_tag(pod))
            if number is not None and max(planes)[0] == number[0] and max(planes)[1] - number[1] > 2:
                old.setdefault(shown(number), []).append(objects.name(workload))
    return [
        warn(
            "sidecars",
            f"{listed(names)}: sidecar {version}, more than two minors behind istiod",
            f"kubectl -n {snapshot.namespace} rollout restart deployment {' '.join(dict.fromkeys(names))}",
        )
        for version, names in old.items()
    ]


def _proxy_tag(pod: Object) -> str:
    both = [*dig(pod, "spec", "initContainers", default=[]), *dig(pod, "spec", "containers", default=[])]
    return next((image_tag(str(one.get("image", ""))) for one in both if one["name"] == SIDECAR), "")
