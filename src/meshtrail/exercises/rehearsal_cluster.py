"""What a workshop on a cluster needs: Istio and Jaeger, room for an application, its images on the nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from meshtrail.cluster.objects import Object, dig
from meshtrail.cluster.preflight.run import preflight
from meshtrail.cluster.session import Session, Where, opened
from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.rehearsal import Line
from meshtrail.local.applications import application, parse_forms

MEMORY_MB = 1200
"""What Bookinfo's containers and their sidecars ask for, with room for one pod more during a roll-out."""

NAMED_IMAGES = 50
"""A node's status names so many of its images and no more (nodeStatusMaxImages of the kubelet, its default)."""

MEND_IMAGES = "docs/images.md: build, then load or push them"


def cluster(where: Where, exercises: Iterable[Exercise]) -> Iterator[Line]:
    """Raises ClusterError when the cluster cannot be asked."""
    with opened(where, application_needed=False) as session:
        for one in preflight(session, "before-deploy"):
            # What the namespace lacks is applied with the application.
            level = "warn" if one.check == "injection" and one.level == "fail" else one.level
            yield Line(level, one.check, one.seen, one.mend)
        yield _memory(session)
        yield _images(session, exercises)


def _memory(session: Session) -> Line:
    nodes, denied = session.kubectl.objects(["nodes"], everywhere=True)
    pods, also_denied = session.kubectl.objects(["pods"], everywhere=True)
    if denied or also_denied:
        return Line("warn", "memory", "kubectl may not list nodes and pods", f"have {MEMORY_MB} MB to ask for")
    has = sum(quantity_mb(str(dig(node, "status", "allocatable", "memory", default="0"))) for node in nodes)
    asked = sum(map(_asked_mb, pods))
    left = int(has - asked)
    if left < MEMORY_MB:
        return Line(
            "fail", "memory", f"{left} MB left to ask for, {MEMORY_MB} MB are needed", "delete what is not used"
        )
    return Line("ok", "memory", f"{left} MB left to ask for")


def _asked_mb(pod: Object) -> float:
    if dig(pod, "status", "phase") in ("Succeeded", "Failed"):
        return 0.0
    containers = [*dig(pod, "spec", "containers", default=[])]
    init = dig(pod, "spec", "initContainers", default=[])
    containers += [one for one in init if one.get("restartPolicy") == "Always"]
    return sum(quantity_mb(str(dig(one, "resources", "requests", "memory", default="0"))) for one in containers)


def quantity_mb(text: str) -> float:
    """A quantity of memory as Kubernetes writes it, in MB: `64Mi`, `1Gi`, `500M`, bytes without a unit."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 1e-3}
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T|m)?", text)
    return float(found[1]) * units.get(found[2] or "", 1) / 1e6 if found else 0.0


def _images(session: Session, exercises: Iterable[Exercise]) -> Line:
    nodes, denied = session.kubectl.objects(["nodes"], everywhere=True)
    wanted = {
        f"{service}-python{'-otel' if form == 'otel' else ''}"
        for exercise in exercises
        for case in exercise.settings.cases
        for service, form in parse_forms(application(case.application), case.form).items()
    }
    if denied:
        return Line("warn", "images", "not seen on a node: kubectl may not list nodes", MEND_IMAGES)
    return images(nodes, wanted)


def images(nodes: Sequence[Object], wanted: set[str]) -> Line:
    """Whether the nodes name the images of these names (`backend-python`), whatever their registry and tag."""
    lists = [dig(node, "status", "images", default=[]) for node in nodes]
    there = {
        str(name).partition("@")[0].rpartition("/")[2].partition(":")[0]
        for listed in lists
        for image in listed
        for name in image.get("names") or []
    }
    absent = sorted(wanted - there)
    if not absent:
        return Line("ok", "images", f"{len(wanted)} images are on the nodes")
    mend = MEND_IMAGES
    if any(len(listed) >= NAMED_IMAGES for listed in lists):
        mend = f"perhaps nothing: a node names {NAMED_IMAGES} of its images. Else {mend}"
    return Line("warn", "images", f"not seen on a node: {', '.join(absent)}", mend)
