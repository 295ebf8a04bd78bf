"""What the runtime must allocate, and the environment that processes get."""

from __future__ import annotations

from pathlib import Path

from tests.envoy.support import mesh_of, numbered, proxies

from meshtrail.envoy.addresses import Endpoint, Pod, environment, required

BASE = (Path(__file__).parents[1] / "parity" / "base.yaml").read_text().split("---")
BACKEND = next(part for part in BASE if "kind: Deployment" in part and "name: backend" in part)
DATABASE = "database.default.svc.cluster.local"


def test_required(tmp_path: Path) -> None:
    needed = required(mesh_of(tmp_path))
    assert needed.pods[0] == Pod("frontend", ("default", "frontend"))
    assert needed.app == (("frontend", 3000), ("backend", 8080), ("database", 8080))
    assert needed.inbound == needed.app
    assert needed.outbound == (
        ("frontend", "backend.default.svc.cluster.local", 8080),
        ("backend", DATABASE, 8080),
    )
    assert needed.gateways == (("istio-ingressgateway", 8080),)
    assert (needed - numbered(mesh_of(tmp_path))).app == ()


def test_a_service_is_reached_through_the_caller_s_sidecar(tmp_path: Path) -> None:
    mesh = mesh_of(tmp_path)
    places = numbered(mesh)
    values = environment(mesh, places.pods[1], places)
    assert values["NEXT"] == f"http://{places.outbound[('backend', DATABASE, 8080)]}"
    assert values["PORT"] == str(places.app[("backend", 8080)].port)
    assert (values["HOST"], values["HOSTNAME"], values["NAME"]) == ("127.0.0.1", "backend", "backend")


def test_a_host_and_a_port_in_two_variables_are_re_pointed_together(tmp_path: Path) -> None:
    pairs = """env:
            - {name: NEXT_HOSTNAME, value: database}
            - {name: NEXT_SERVICE_PORT, value: "8080"}
            - {name: OTHER_HOSTNAME, value: elsewhere}
            - {name: OTHER_SERVICE_PORT, value: "1"}
            - {name: SERVICES_DOMAIN, value: default.svc}
"""
    text = BACKEND.replace("env:\n", pairs)
    mesh = mesh_of(tmp_path, text)
    places = numbered(mesh)
    values = environment(mesh, places.pods[1], places)
    listener = places.outbound[("backend", DATABASE, 8080)]
    assert (values["NEXT_HOSTNAME"], values["NEXT_SERVICE_PORT"]) == (listener.host, str(listener.port))
    # What is not of the mesh keeps its name, whole.
    assert (values["OTHER_HOSTNAME"], values["OTHER_SERVICE_PORT"]) == ("elsewhere.default.svc", "1")
    assert values["SERVICES_DOMAIN"] == ""


def test_an_excluded_port_goes_straight_to_the_other_sidecar(tmp_path: Path) -> None:
    excluded = "annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: '8080'}, labels: {app: backend"
    mesh = mesh_of(tmp_path, BACKEND.replace("labels: {app: backend", excluded))
    places = numbered(mesh)
    assert not [key for key in places.outbound if key[0] == "backend"]
    assert environment(mesh, places.pods[1], places)["NEXT"] == f"http://{places.inbound[('database', 8080)]}"


def test_without_a_sidecar_the_process_itself_is_reached(tmp_path: Path) -> None:
    database = next(part for part in BASE if "kind: Deployment" in part and "name: database" in part)
    off = 'labels: {sidecar.istio.io/inject: "false", app: '
    mesh = mesh_of(
        tmp_path,
        BACKEND.replace("labels: {app: ", off),
        database.replace("labels: {app: ", off),
    )
    places = numbered(mesh)
    assert environment(mesh, places.pods[1], places)["NEXT"] == f"http://{places.app[('database', 8080)]}"
    assert [key[0] for key in places.inbound] == ["frontend"]


def test_the_collector_is_the_store(tmp_path: Path) -> None:
    variable = '{name: OTEL, value: "http://jaeger-collector.istio-system:4318"}\n            - {name: PORT'
    direct = "annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: '4317,4318'}, labels: {app: backend"
    text = BACKEND.replace("{name: PORT", variable)
    mesh = mesh_of(tmp_path, text.replace("labels: {app: backend", direct))
    places = numbered(mesh)
    assert environment(mesh, places.pods[1], places)["OTEL"] == f"http://{places.store['otlp_http']}"
    # Not excluded, the export goes through the sidecar, which traces it as on a cluster.
    through = mesh_of(tmp_path, text)
    places = numbered(through)
    endpoint = places.outbound[("backend", "jaeger-collector.istio-system.svc.cluster.local", 4318)]
    assert environment(through, places.pods[1], places)["OTEL"] == f"http://{endpoint}"


def test_the_control_port_has_an_address_and_no_sidecar(tmp_path: Path) -> None:
    text = BACKEND.replace("ports: [{containerPort: 8080}]", "ports: [{containerPort: 8090}, {containerPort: 8080}]")
    mesh = mesh_of(tmp_path, text)
    places = numbered(mesh)
    values = environment(mesh, places.pods[1], places)
    assert values["CONTROL_PORT"] == str(places.app[("backend", 8090)].port)
    assert values["PORT"] == str(places.app[("backend", 8080)].port)
    assert ("backend", 8090) not in places.inbound


def test_each_replica_has_its_own_proxy_and_all_are_endpoints(tmp_path: Path) -> None:
    generated = proxies(tmp_path, BACKEND.replace("  strategy:", "  replicas: 2\n  strategy:"))
    assert {"backend-0", "backend-1"} <= set(generated)
    cluster = next(
        entry
        for entry in generated["frontend"].clusters
        if entry["name"] == "outbound|8080||backend.default.svc.cluster.local"
    )
    assert len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 2


def test_an_endpoint_reads_as_an_address() -> None:
    assert str(Endpoint("127.0.0.1", 80)) == "127.0.0.1:80"
