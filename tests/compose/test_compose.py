"""`docker compose up` on a real Docker, with real Envoys and the real Jaeger: traces, and what breaks them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest
from tests.compose.project import Project, project, run
from tests.e2e.shapes import CHAIN, GATEWAY, chain, is_single_path, nested_in_time, request, spans, trace_of
from tests.support.mesh import Load, eventually, meshtrail

from meshtrail.errors import MeshtrailError
from meshtrail.model.trace import Trace

pytestmark = pytest.mark.compose

SERVICES = ("frontend", "backend", "database")
PODS = tuple(f"{service}-pod" for service in SERVICES)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project for all tests: each says with `up` what it is to be, which replaces only what differs."""
    with project(tmp_path_factory.mktemp("compose")) as made:
        yield made


def whole(mesh: Project, number: int = 7) -> Trace:
    """One more request's trace, which must be complete and have so many spans."""
    trace = trace_of(mesh.jaeger, request(mesh.gateway), lambda found: found.complete and len(found.spans) >= number)
    assert [entry for entry in chain(trace) if "." in entry[0]] == CHAIN
    assert len(trace.spans) == number
    return trace


def broken_at_backend(mesh: Project) -> None:
    """One more request leaves a trace that ends at backend's server span."""
    trace = trace_of(mesh.jaeger, request(mesh.gateway), spans(5))
    assert chain(trace) == CHAIN[:5]


# --- As it comes up -----------------------------------------------------------------------------------------------


def test_the_first_request_is_one_whole_trace(mesh: Project) -> None:
    mesh.up()
    trace = whole(mesh)
    assert is_single_path(trace)
    assert nested_in_time(trace) == []
    assert trace.spans[-1].name == "database.meshtrail.svc.cluster.local:8080/*"
    assert meshtrail("trace", "--jaeger", mesh.jaeger).stdout.count("SERVER") == 4
    services = httpx.get(f"{mesh.jaeger}/api/services", trust_env=False).json()["data"]
    assert sorted(services) == sorted({service for service, _ in CHAIN}), "and nothing of Jaeger's own"


def test_health_checks_leave_no_span(mesh: Project) -> None:
    mesh.up()
    request(mesh.gateway, "/healthz")
    whole(mesh)
    query = {"service": "database.meshtrail", "limit": "1000"}
    urls = httpx.get(f"{mesh.jaeger}/api/traces", params=query, trust_env=False).text
    assert "database:8080/query" in urls
    assert "readyz" not in urls, "Docker's own"
    assert "healthz" not in urls, "those that come through the gateway"


def test_nothing_is_published_beyond_this_machine(mesh: Project) -> None:
    mesh.up()
    published = {
        (service, port): [binding["HostIp"] for binding in bindings or []]
        for service, container in mesh.containers().items()
        for port, bindings in container.ports.items()
    }
    assert {key for key, hosts in published.items() if hosts} == {
        ("gateway", "8080/tcp"),
        ("jaeger", "16686/tcp"),
        *((pod, "8090/tcp") for pod in PODS),
    }
    assert {host for hosts in published.values() for host in hosts} == {"127.0.0.1"}
    bridge = mesh.client.networks.list(names=[f"{mesh.name}_mesh"])[0].attrs["IPAM"]["Config"][0]["Gateway"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((bridge, httpx.URL(mesh.gateway).port or 0), timeout=2)


def test_containers_are_held_short(mesh: Project) -> None:
    mesh.up()
    for service, container in mesh.containers().items():
        host = container.attrs["HostConfig"]
        assert container.attrs["Config"]["User"].split(":")[0] not in ("", "0", "root"), service
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
    status = {name: one.attrs["State"].get("Health", {}).get("Status") for name, one in mesh.containers().items()}
    assert {name for name, health in status.items() if health is None} == {*PODS, "jaeger"}
    assert {health for health in status.values() if health} == {"healthy"}


def test_nobody_gets_past_a_sidecar(mesh: Project) -> None:
    mesh.up()

    def reaches(port: int) -> bool:
        code = f"import socket; socket.create_connection(('backend', {port}), timeout=2)"
        status, output = mesh.python("frontend", code)
        assert status == 0 or "ConnectionRefusedError" in output, output
        return status == 0

    assert reaches(8080), "the sidecar"
    assert not reaches(18080), "the process"
    assert not reaches(15000), "Envoy's administration"
    assert not reaches(28080), "the sidecar's listener for the process"


def test_what_is_rendered_anew_is_live(mesh: Project) -> None:
    mesh.up()
    path = mesh.folder / "istio/three-tier/backend.yaml"
    before = path.read_text()
    render = ("render", "compose", "--root", str(mesh.folder), "-o", str(mesh.folder / "compose"))
    meshtrail(*render)
    try:
        fault = "- fault:\n        abort: {httpStatus: 418, percentage: {value: 100}}\n      route:"
        path.write_text(before.replace("- route:", fault))
        meshtrail(*render)
        eventually(lambda: "418" in httpx.get(mesh.gateway, trust_env=False).text, what="the fault")
    finally:
        path.write_text(before)
        meshtrail(*render)
    eventually(lambda: httpx.get(mesh.gateway, trust_env=False).status_code == 200, what="the end of the fault")
    whole(mesh)


def test_the_configuration_that_runs_is_the_one_that_was_rendered(mesh: Project) -> None:
    mesh.up()
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:15000/config_dump').read().decode())"
    status, output = mesh.python("backend", code)
    assert status == 0, output
    dump = json.dumps(json.loads(output))
    for file in ("lds.json", "cds.json"):
        for resource in json.loads((mesh.folder / "compose/three-tier/envoy/otlp/backend" / file).read_text())[
            "resources"
        ]:
            assert f'"name": "{resource["name"]}"' in dump
    assert GATEWAY.split(".")[0] not in json.loads(output)["configs"][0]["bootstrap"]["node"]["id"]


# --- What goes and comes back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["database", "database-proxy"])
def test_what_dies_comes_back_and_with_it_the_trace(mesh: Project, victim: str) -> None:
    mesh.up()
    restarts = mesh.container(victim).attrs["RestartCount"]
    mesh.crash(victim)
    with httpx.Client(trust_env=False, timeout=10) as client:
        eventually(lambda: client.get(mesh.gateway).status_code == 502, what="a request that fails meanwhile")
        eventually(lambda: client.get(mesh.gateway).status_code == 200, within=60, what="a request that is answered")
    assert mesh.container(victim).attrs["RestartCount"] == restarts + 1
    whole(mesh)


def test_a_pod_takes_along_what_is_in_it(mesh: Project) -> None:
    mesh.up()
    mesh.compose("restart", "--timeout", "2", "backend-pod")
    with httpx.Client(trust_env=False, timeout=10) as client:
        eventually(lambda: client.get(mesh.gateway).status_code == 200, within=60, what="a request that is answered")
    whole(mesh)


def test_requests_go_on_without_jaeger_and_traces_come_back(mesh: Project) -> None:
    mesh.up()
    whole(mesh)
    with Load(mesh.gateway, rate=5, seconds=30) as load:
        mesh.container("jaeger").restart(timeout=1)
        eventually(lambda: traced_again(mesh), within=60, what="a whole trace after the restart")
    assert load.report is not None
    assert load.report.ok, load.report.errors


def traced_again(mesh: Project) -> bool:
    """Whether a new request's trace arrives, whole."""
    try:
        return trace_of(mesh.jaeger, request(mesh.gateway), spans(7), deadline_s=1).complete
    except (AssertionError, MeshtrailError):
        return False


# --- Variations -----------------------------------------------------------------------------------------------------


def test_a_service_that_forwards_nothing_breaks_the_trace_until_it_is_told(mesh: Project) -> None:
    mesh.up(BACKEND_PROPAGATION="none")
    broken_at_backend(mesh)
    mesh.switch("backend", "all")
    whole(mesh)
    mesh.switch("backend", "none")
    broken_at_backend(mesh)


def test_one_service_in_the_otel_form(mesh: Project) -> None:
    mesh.up(BACKEND_FORM="otel")
    trace = whole(mesh, 11)
    assert {span.service for span in trace.spans if not span.by_proxy} == {"backend"}


def test_all_in_the_otel_form(mesh: Project) -> None:
    mesh.up(FORM="otel")
    trace = whole(mesh, 15)
    assert {span.service for span in trace.spans if not span.by_proxy} == set(SERVICES)
    assert nested_in_time(trace) == []


def test_otel_behind_sidecars_that_speak_b3(mesh: Project) -> None:
    mesh.up(FORM="otel", MESH="b3")
    assert nested_in_time(whole(mesh, 15)) == []


def test_b3(mesh: Project) -> None:
    mesh.up(MESH="b3", PROPAGATION="b3")
    whole(mesh)
    mesh.switch("backend", "w3c")
    broken_at_backend(mesh)


@pytest.mark.parametrize(("form", "spans"), [("plain", 7), ("otel", 15)])
def test_three_languages(form: str, spans: int, mesh: Project) -> None:
    mesh.up(env_file="compose/polyglot.env", FORM=form)
    languages = {one: mesh.container(one).attrs["Config"]["Image"].split("-")[1].partition(":")[0] for one in SERVICES}
    assert languages == {"frontend": "node", "backend": "python", "database": "go"}
    trace = whole(mesh, spans)
    assert {span.service for span in trace.spans if not span.by_proxy} == (set(SERVICES) if form == "otel" else set())


def test_rows_in_postgresql_outlive_its_container(mesh: Project) -> None:
    mesh.up(env_file="compose/postgres.env")
    whole(mesh)
    postgres = mesh.container("postgres")
    assert postgres.ports.get("5432/tcp") is None, "not published"

    def sql(text: str) -> str:
        options = ("--host=127.0.0.1", "--username=database", "--tuples-only", "--command")
        return run(postgres, "psql", *options, text, PGPASSWORD="database")[1].strip()

    table = sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert sql(f"INSERT INTO {table} VALUES (1000, 'one more')") == "INSERT 0 1"
    assert records(mesh) == 43
    postgres.restart(timeout=10)
    eventually(lambda: records(mesh) == 43, within=60, what="the same rows")
    # Another container on the same volume.
    mesh.compose("up", "--wait", "--no-build", "--force-recreate", "postgres", env_file="compose/postgres.env")
    assert mesh.container("postgres").id != postgres.id
    eventually(lambda: records(mesh) == 43, within=60, what="the same rows")
    status, output = mesh.python("frontend", "import socket; socket.create_connection(('postgres', 5432), timeout=2)")
    assert status != 0, "only database reaches it"
    assert "gaierror" in output


def records(mesh: Project) -> int:
    """What database counts; 0 while it cannot."""
    answer = httpx.get(mesh.gateway, trust_env=False, timeout=10)
    return int(answer.json()["backend_data"]["database_data"]["records"]) if answer.status_code == 200 else 0


@pytest.mark.parametrize(
    ("given", "named"), [({"FORM": "hybrid"}, "form/hybrid.yaml"), ({"MESH": "zipkin"}, "env/zipkin/")]
)
def test_compose_names_the_variation_that_there_is_not(mesh: Project, given: dict[str, str], named: str) -> None:
    with pytest.raises(AssertionError, match=named):
        mesh.compose("config", given=given)


def test_the_images_are_built_from_the_repository(mesh: Project) -> None:
    image = f"{mesh.name}-backend:test"
    mesh.compose("build", "backend", given={"BACKEND_FORM": "otel", "BACKEND_IMAGE": image})
    try:
        assert mesh.client.images.get(image).attrs["Config"]["Entrypoint"][-1] == "backend.otel"
    finally:
        mesh.client.images.remove(image)
