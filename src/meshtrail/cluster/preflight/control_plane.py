"""Kubernetes and Istio themselves: there, running, of a version that the manifests work with."""

from __future__ import annotations

from meshtrail.cluster import objects
from meshtrail.cluster.application import containers, image_tag
from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.preflight.findings import Finding, fail, ok, warn
from meshtrail.cluster.snapshot import ROOT, Snapshot
from meshtrail.cluster.versions import ISTIO_OLDEST, KUBERNETES_OLDEST, parsed, shown

INSTALL = "istioctl install -f istio/install/demo.yaml"


def kubernetes(snapshot: Snapshot) -> list[Finding]:
    version = parsed(snapshot.version)
    seen = f"Kubernetes {snapshot.version.removeprefix('v')}, context {snapshot.context}"
    if version is None:
        return [warn("kubernetes", f"Kubernetes of an unknown version: {snapshot.version!r}", "see `kubectl version`")]
    if version < KUBERNETES_OLDEST:
        return [fail("kubernetes", f"{seen}: too old", f"upgrade the cluster to {shown(KUBERNETES_OLDEST)} or newer")]
    return [ok("kubernetes", seen)]


def istiods(snapshot: Snapshot) -> tuple[Object, ...]:
    """Istio's control planes: several where revisions run side by side."""
    return tuple(one for one in snapshot.of("Deployment", ROOT) if objects.labels(one).get("app") == "istiod")


def istiod_version(istiod: Object) -> str:
    """The tag of its image."""
    return image_tag(str(dig(containers(istiod), 0, "image", default="")))


def istio(snapshot: Snapshot) -> list[Finding]:
    """istiod runs, and its version is one that serves the APIs which the manifests use."""
    if "deployments.apps" in snapshot.forbidden:
        return [warn("istio", f"may not look at Deployments in {ROOT}", f"kubectl -n {ROOT} get deployments")]
    found = istiods(snapshot)
    if not found:
        return [fail("istio", f"no Istio: no istiod in namespace {ROOT}", INSTALL)]
    findings = []
    for one in found:
        version, name = istiod_version(one), objects.name(one)
        number = parsed(version)
        if not dig(one, "status", "readyReplicas", default=0):
            findings.append(
                fail("istio", f"{name} {version} has no ready pod", f"kubectl -n {ROOT} describe pods -l app=istiod")
            )
        elif number is not None and number < ISTIO_OLDEST:
            mend = f"upgrade to Istio {shown(ISTIO_OLDEST)} or newer: istio/README.md"
            findings.append(fail("istio", f"Istio {version} is too old", mend))
        else:
            findings.append(ok("istio", f"Istio {version}, {name} is running"))
    return findings


def istio_kinds(snapshot: Snapshot) -> list[Finding]:
    """The kinds that the manifests use are known to the cluster."""
    missing = [group for group in ("networking.istio.io", "telemetry.istio.io") if group not in snapshot.apis]
    if missing and istiods(snapshot):
        return [fail("istio", f"the cluster does not know the kinds of {' and '.join(missing)}", INSTALL)]
    return []
