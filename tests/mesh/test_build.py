"""From manifests to the mesh: what is resolved, and what is refused, each with a near miss that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.parity.cluster import manifests

from meshtrail.errors import ManifestError, Problem, Warnings
from meshtrail.mesh import Mesh, build
from meshtrail.mesh.build import is_injected

TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: mesh, namespace: istio-system}
spec: {tracing: [{providers: [{name: %s}]}]}
"""
VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: extra, namespace: default}
spec:
"""
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: default}
spec: {host: backend, subsets: [{name: v1, labels: {version: v1}}]}
"""


def mesh(folder: Path, *configurations: str) -> Mesh:
    return build(manifests(folder, *configurations))


def refused(folder: Path, *configurations: str) -> Problem:
    with pytest.raises(ManifestError) as caught:
        mesh(folder, *configurations)
    (problem,) = caught.value.problems
    assert problem.file
    assert problem.mend
    return problem


def test_the_recorded_application(tmp_path: Path) -> None:
    built = mesh(tmp_path)
    frontend = built.workloads[("default", "frontend")]
    assert (frontend.app, frontend.revision, frontend.service_name) == ("frontend", "v1", "frontend.default")
    assert frontend.injected
    (port,) = frontend.inbound
    assert (port.port, port.protocol, port.service_port) == (3000, "http", 3000)
    (reference,) = frontend.references
    assert (reference.variable, reference.fqdn) == ("NEXT", "backend.default.svc.cluster.local")
    (gateway,) = built.gateways
    assert [(listener.port, listener.target) for listener in gateway.listeners] == [(80, 8080)]


@pytest.mark.parametrize(
    ("namespace", "labels", "annotations", "expected"),
    [
        ({}, {}, {}, False),
        ({"istio-injection": "enabled"}, {}, {}, True),
        ({"istio.io/rev": "stable"}, {}, {}, True),
        ({"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, {}, False),
        ({"istio-injection": "enabled"}, {}, {"sidecar.istio.io/inject": "false"}, False),
        ({}, {"sidecar.istio.io/inject": "true"}, {}, True),
        ({"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, {}, False),
        ({"istio-injection": "Enabled"}, {}, {}, False),
    ],
)
def test_injection(
    namespace: dict[str, str], labels: dict[str, str], annotations: dict[str, str], expected: bool
) -> None:
    assert is_injected(namespace, labels, annotations) is expected


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: extra, namespace: default}
spec: {selector: {app: %s}, ports: [%s]}
"""


def test_a_service_without_a_deployment(tmp_path: Path) -> None:
    problem = refused(tmp_path, SERVICE % ("nobody", "{name: http, port: 8080}"))
    assert problem.object == "Service default/extra"
    assert problem.field == "spec.selector"
    assert "app=nobody" in problem.message


def test_two_services_on_one_port_must_agree_on_its_protocol(tmp_path: Path) -> None:
    problem = refused(tmp_path, SERVICE % ("backend", "{name: tcp, port: 81, targetPort: 8080}"))
    assert problem.object == "Service default/extra"
    assert "backend.default.svc.cluster.local" in problem.message
    mesh(tmp_path, SERVICE % ("backend", "{name: tcp, port: 81, targetPort: 8081}"))


def test_the_first_of_two_services_on_one_port_gives_the_name(tmp_path: Path) -> None:
    warnings = Warnings()
    objects = manifests(tmp_path, SERVICE % ("backend", "{name: http, port: 81, targetPort: 8080}"))
    built = build(objects, warnings=warnings)
    assert built.workloads[("default", "backend")].inbound[0].service_port == 8080
    (warning,) = warnings.problems
    assert "backend.default.svc.cluster.local:8080" in warning.message


def test_a_target_port_by_a_name_that_no_container_has(tmp_path: Path) -> None:
    problem = refused(tmp_path, SERVICE % ("backend", "{name: http, port: 81, targetPort: web}"))
    assert problem.field == "spec.ports[0].targetPort"


def test_a_port_without_a_protocol_is_tcp_and_said_so(tmp_path: Path) -> None:
    warnings = Warnings()
    built = build(
        manifests(tmp_path, SERVICE % ("backend", "{name: web, port: 81, targetPort: 81}")), warnings=warnings
    )
    assert built.services["extra.default.svc.cluster.local"].ports[0].protocol == "tcp"
    (problem,) = warnings.problems
    assert "'web'" in problem.message


def test_a_variable_that_names_a_port_the_service_lacks(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "parity" / "base.yaml").read_text().replace("database:8080", "database:8081")
    problem = refused(tmp_path, text)
    assert problem.object == "Deployment default/backend"
    assert problem.field.endswith("env[NEXT]")


@pytest.mark.parametrize("name", ["jager", "skywalking", "otel-tracing"])
def test_a_provider_that_sends_nothing_anywhere(name: str, tmp_path: Path) -> None:
    problem = refused(tmp_path, TELEMETRY % name)
    assert problem.object == "Telemetry istio-system/mesh"
    assert problem.field == "spec.tracing[0].providers"
    assert name in problem.message


def test_lenient_leaves_an_unknown_provider_without_spans(tmp_path: Path) -> None:
    warnings = Warnings()
    built = build(manifests(tmp_path, TELEMETRY % "jager"), lenient=True, warnings=warnings)
    assert built.tracing_for(built.gateways[0], "outbound") is None
    assert "jager" in warnings.problems[0].message


@pytest.mark.parametrize("name", ["jaeger", "jaeger-b3", "jaeger-b3-w3c"])
def test_a_provider_that_the_store_plays(name: str, tmp_path: Path) -> None:
    built = mesh(tmp_path, TELEMETRY % name)
    resolved = built.tracing_for(built.gateways[0], "outbound")
    assert resolved is not None
    assert resolved.provider.name == name


COLLECTOR = """
apiVersion: v1
kind: Service
metadata: {name: jaeger-collector, namespace: istio-system}
spec:
  selector: {app: jaeger}
  ports: [{name: %s, port: 4317, targetPort: %s}]
"""


@pytest.mark.parametrize(("name", "protocol"), [("otlp", "tcp"), ("http-otlp", "http")])
def test_a_collector_s_port_that_is_not_named_grpc(name: str, protocol: str, tmp_path: Path) -> None:
    service, telemetry = COLLECTOR % (name, 4317), TELEMETRY % "jaeger"
    problem = refused(tmp_path, service, telemetry)
    assert problem.object == "Telemetry istio-system/mesh"
    assert repr(name) in problem.message
    # A cluster takes it and loses the spans; so do the sidecars of a mesh that is lenient.
    built = build(manifests(tmp_path, service, telemetry), lenient=True, warnings=Warnings())
    (port,) = built.services["jaeger-collector.istio-system.svc.cluster.local"].ports
    assert (port.protocol, port.store) == (protocol, "otlp_grpc")


@pytest.mark.parametrize("target", [4317, "grpc-otel"])
def test_a_collector_s_port_that_is_named_grpc(target: int | str, tmp_path: Path) -> None:
    built = mesh(tmp_path, COLLECTOR % ("grpc-traces", target), TELEMETRY % "jaeger")
    (port,) = built.services["jaeger-collector.istio-system.svc.cluster.local"].ports
    assert (port.protocol, port.store) == ("http2", "otlp_grpc")


def test_a_collector_s_port_that_leads_nowhere(tmp_path: Path) -> None:
    assert "nothing of the mesh" in refused(tmp_path, COLLECTOR % ("grpc", 4316), TELEMETRY % "jaeger").message


def test_two_telemetries_for_one_namespace(tmp_path: Path) -> None:
    second = (TELEMETRY % "jaeger").replace("name: mesh", "name: second")
    assert refused(tmp_path, TELEMETRY % "jaeger", second).object == "Telemetry istio-system/second"


REFUSED = {
    "spec.hosts[0]": "  hosts: [bakend]\n  http: [{route: [{destination: {host: backend}}]}]",
    "spec.http[0].route[0].destination.host": "  hosts: [backend]\n  http: [{route: [{destination: {host: bakend}}]}]",
    "spec.http[0].route[0].destination.port": (
        "  hosts: [backend]\n  http: [{route: [{destination: {host: backend, port: {number: 1}}}]}]"
    ),
    "spec.http[0].route[0].destination.subset": (
        "  hosts: [backend]\n  http: [{route: [{destination: {host: backend, subset: v2}}]}]"
    ),
    "spec.http[0].mirror.host": (
        "  hosts: [backend]\n  http: [{route: [{destination: {host: backend}}], mirror: {host: nobody}}]"
    ),
    "spec.http[0].match[0].authority.regex": (
        "  hosts: [backend]\n"
        "  http: [{match: [{authority: {regex: '[[:alpha:]]+'}}], route: [{destination: {host: backend}}]}]"
    ),
    "spec.gateways": ("  hosts: ['*']\n  gateways: [fronted]\n  http: [{route: [{destination: {host: backend}}]}]"),
    "spec.http[0].match[0].gateways": (
        "  hosts: [backend]\n  http: [{match: [{gateways: [frontend]}], route: [{destination: {host: backend}}]}]"
    ),
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_virtual_service_that_would_fail_silently(field: str, tmp_path: Path) -> None:
    problem = refused(tmp_path, RULE, VIRTUAL_SERVICE + REFUSED[field])
    assert (problem.object, problem.field) == ("VirtualService default/extra", field)


@pytest.mark.parametrize(
    "spec",
    [
        "  hosts: [backend]\n  http: [{route: [{destination: {host: backend, subset: v1, port: {number: 8080}}}]}]",
        "  hosts: [backend.default.svc.cluster.local]\n  http: [{route: [{destination: {host: database}}]}]",
        "  hosts: [shop.example]\n  gateways: [frontend]\n  http: [{route: [{destination: {host: backend}}]}]",
        "  hosts: [backend]\n  gateways: [mesh, default/frontend]\n"
        "  http: [{match: [{gateways: [frontend]}], route: [{destination: {host: backend}}]}]",
    ],
)
def test_a_virtual_service_that_holds(spec: str, tmp_path: Path) -> None:
    mesh(tmp_path, RULE, VIRTUAL_SERVICE + spec)


def test_a_close_name_is_suggested(tmp_path: Path) -> None:
    problem = refused(tmp_path, VIRTUAL_SERVICE + REFUSED["spec.hosts[0]"])
    assert problem.mend == "did you mean 'backend.default.svc.cluster.local'?"


def test_tls_is_for_hosts_outside(tmp_path: Path) -> None:
    tls = "trafficPolicy: {tls: {mode: SIMPLE}}"
    problem = refused(tmp_path, RULE.replace("host: backend", f"host: backend, {tls}"))
    assert (problem.field, "ISTIO_MUTUAL" in problem.mend) == ("spec.trafficPolicy.tls.mode", True)
    problem = refused(tmp_path, RULE.replace("labels: {version: v1}", f"labels: {{version: v1}}, {tls}"))
    assert problem.field == "spec.subsets[v1].trafficPolicy.tls.mode"
    outside = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: default}
spec: {hosts: [a.example], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}]}
"""
    mesh(tmp_path, outside, RULE.replace("host: backend", f"host: a.example, {tls}"))


def test_two_virtual_services_for_one_host(tmp_path: Path) -> None:
    spec = "  hosts: [backend]\n  http: [{route: [{destination: {host: backend}}]}]"
    second = VIRTUAL_SERVICE.replace("name: extra", "name: second")
    problem = refused(tmp_path, VIRTUAL_SERVICE + spec, second + spec)
    assert problem.object == "VirtualService default/second"


def test_a_gateway_that_selects_nothing(tmp_path: Path) -> None:
    gateway = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other, namespace: default}
spec: {selector: {istio: egress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""
    assert refused(tmp_path, gateway).field == "spec.selector"


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        mesh(tmp_path, TELEMETRY % "jager", VIRTUAL_SERVICE + REFUSED["spec.hosts[0]"])
    assert len(caught.value.problems) == 2


def test_pods_of_several_replicas_are_numbered(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "parity" / "base.yaml").read_text()
    backend = next(part for part in text.split("---") if "kind: Deployment" in part and "name: backend" in part)
    built = mesh(tmp_path, backend.replace("  strategy:", "  replicas: 2\n  strategy:"))
    assert built.pods_of(built.workloads[("default", "backend")]) == ("backend-0", "backend-1")
    assert built.pods_of(built.workloads[("default", "frontend")]) == ("frontend",)
