"""Names of services in traces."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.finding import Found, Level
from meshtrail.lint.ports import TRACING, ports
from meshtrail.lint.rule import rule, warning
from meshtrail.lint.workload import Workload

CANONICAL = ("service.istio.io/canonical-name", "app.kubernetes.io/name")


def _by_app_label(bundle: Bundle, one: Workload) -> bool:
    """Whether the name of the service comes from the label `app`: Istio's default."""
    for mesh in bundle.meshes:
        said, _ = mesh.setting("defaultConfig", "tracingServiceName")
        if said in ("CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"):
            return False
    return "tracingServiceName" not in one.annotations.get("proxy.istio.io/config", "")


@rule(
    "app-label",
    "Pods have no label `app`",
    "warning",
    "note",
    why="""A sidecar calls its service `<app>.<namespace>` in spans. Without the label it is the name of the
    workload: `reviews-v1.shop` and `reviews-v2.shop` are then two services. `app.kubernetes.io/name` names the
    canonical service, in metrics and in a tag of the span, and not the service of the span (seen on Istio 1.29).""",
    mend="""Label the pod template `app: NAME`, or set `meshConfig.defaultConfig.tracingServiceName:
    CANONICAL_NAME_AND_NAMESPACE`.""",
    conditions="""Not for jobs, gateways, and pods that no Service selects. A note where it is not known that the
    pods are in the mesh, or where the workload's name says the same.""",
)
def app_label(bundle: Bundle) -> Iterator[Found]:
    for one in bundle.workloads:
        membership = bundle.membership(one)
        if one.labels.get("app") or one.is_gateway or membership in ("out", "ambient"):
            continue
        services = list(bundle.services_of(one))
        if not services or not _by_app_label(bundle, one):
            continue
        if any(port.number in TRACING for service in services for port in ports(service)):
            continue
        name = next((one.labels[label] for label in CANONICAL if one.labels.get(label)), services[0].name)
        level: Level = "note" if membership == "unknown" or one.object.name == name else "warning"
        # The value is what a person adds, so the finding stands at the labels.
        yield Found(
            level,
            one.object,
            (*one.template, "metadata", "labels"),
            f"no label app: in traces this service is called {one.object.name}, after its {one.object.kind}",
            f"add app: {name}",
        )


@rule(
    "app-label-shared",
    "Different services have the same label `app`",
    "warning",
    why="""The label `app` is the name of the service in spans. Two services that share it are one in every trace,
    in the list of services and in the dependency graph, and nobody can tell which of them dropped a header.""",
    mend="Give each service its own `app`.",
    conditions="Versions of one service share it rightly: workloads that a common Service selects.",
)
def app_label_shared(bundle: Bundle) -> Iterator[Found]:
    seen: dict[tuple[str, str], list[tuple[Workload, set[str]]]] = {}
    for one in bundle.workloads:
        app = one.labels.get("app", "")
        if not app or one.is_gateway or bundle.membership(one) != "sidecar" or not _by_app_label(bundle, one):
            continue
        services = {service.name for service in bundle.services_of(one)}
        if not services:
            continue
        others = seen.setdefault((one.object.namespace, app), [])
        for other, theirs in others:
            if not services & theirs and other.object.key != one.object.key:
                yield warning(
                    one.object,
                    (*one.template, "metadata", "labels", "app"),
                    f"app: {app} is also that of {other.object.title}, behind another Service: one service in traces",
                    f"give it a name of its own, such as app: {sorted(services)[0]}",
                )
                break
        others.append((one, services))
