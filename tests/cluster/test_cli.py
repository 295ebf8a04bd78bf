"""The command line on a cluster: what it finds, what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.cluster.support import Application, deployed, get, kubectl, require_cluster, run
from tests.support.mesh import COMMAND, ROOT, alive, eventually

from meshtrail.cluster.forward import Forwards
from meshtrail.cluster.http import ask
from meshtrail.cluster.kubectl import connect
from meshtrail.cluster.preflight.findings import Finding
from meshtrail.cluster.preflight.run import check
from meshtrail.cluster.snapshot import fetch

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    """The dev overlay: with the propagation switch."""
    with deployed("k8s/overlays/dev") as found:
        yield found


class Command:
    """A command on the application's namespace; its children inherit a mark by which they are found again."""

    def __init__(self, application: Application, *arguments: str, target: bool = True) -> None:
        self.mark = f"MESHTRAIL_TEST_MARK={secrets.token_hex(8)}"
        where = ["--namespace", application.namespace, *(("--target", "cluster") if target else ())]
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            [*COMMAND, *arguments, *where],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "NO_COLOR": "1", name: value},
        )

    def finish(self, status: int = 0) -> tuple[str, str]:
        """Both outputs, once it ended with this exit status; nothing that it started is left."""
        try:
            out, err = self.process.communicate(timeout=90)
        finally:
            self.process.kill()
            self.process.wait()
        assert self.process.returncode == status, f"{self.process.returncode}\n{out}\n{err}"
        assert self.children() == []
        return out, err

    def children(self) -> list[int]:
        """Processes with the mark, but for the command itself."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                marked = self.mark.encode() in (folder / "environ").read_bytes()
            except OSError:
                continue
            if marked and alive(int(folder.name)) and int(folder.name) != self.process.pid:
                found.append(int(folder.name))
        return found


def meshtrail(application: Application, *arguments: str, status: int = 0, target: bool = True) -> tuple[str, str]:
    return Command(application, *arguments, target=target).finish(status)


def test_demo_draws_one_complete_trace(application: Application) -> None:
    out, err = meshtrail(application, "demo", "--once", "--requests", "5")
    assert "status: 200 x 5" in out
    assert "one trace, complete" in out
    assert len([line for line in out.splitlines() if "SERVER" in line or "CLIENT" in line]) == 7
    assert f"Host {application.host}" in err
    assert "istio-system/istio-ingressgateway" in err


def test_everything_goes_through_port_forwards_if_asked(application: Application) -> None:
    out, err = meshtrail(application, "demo", "--once", "--requests", "5", "--port-forward")
    assert "one trace, complete" in out
    ways = [line for line in err.splitlines() if line.startswith(("gateway ", "Jaeger "))]
    assert len(ways) == 2
    assert all("http://127.0.0.1:" in line and "port-forward" in line for line in ways)


def test_load_goes_to_the_gateway(application: Application) -> None:
    out, _ = meshtrail(application, "load", "--count", "40", "--rate", "40", "--json")
    assert json.loads(out)["statuses"] == {"200": 40}


def test_trace_is_that_of_the_last_request(application: Application) -> None:
    mark = f"meshtrail-test/{secrets.token_hex(8)}"
    assert application.get(headers={"user-agent": mark}).status_code == 200
    (request,) = json.loads(meshtrail(application, "trace", "--json")[0])["requests"]
    (trace,) = request["traces"]
    assert {span["tags"].get("user_agent") for span in trace["spans"] if span["depth"] == 0} == {mark}
    assert len(trace["spans"]) == 7


@pytest.mark.timeout(240)
def test_propagation_breaks_and_heals_the_trace_in_every_pod(application: Application) -> None:
    application.kubectl("scale", "deployment/backend", "--replicas=2")
    application.kubectl("rollout", "status", "deployment/backend", "--timeout=120s", timeout=130)
    try:
        shown = meshtrail(application, "propagation", "backend", "none")[0]
        assert shown.strip() == "backend  none (2 pods)"
        assert meshtrail(application, "propagation")[0].split("\n")[0] == "backend   none (2 pods)"
        for _ in range(4):
            assert application.get().status_code == 200
        out = meshtrail(application, "trace", "--last", "4", status=1)[0]
        assert out.count(f"broken in 2 pieces at backend.{application.namespace}") == 4
        assert meshtrail(application, "propagation", "backend", "all")[0].strip() == "backend  all (2 pods)"
        assert application.get().status_code == 200
        assert "one trace, complete" in meshtrail(application, "trace")[0]
    finally:
        application.kubectl("scale", "deployment/backend", "--replicas=1")
        application.kubectl("wait", "--for=jsonpath={.status.replicas}=1", "deployment/backend", "--timeout=50s")


def test_status_shows_pods_with_their_sidecars(application: Application) -> None:
    status = json.loads(meshtrail(application, "status", "--json")[0])
    assert status["ready"] is True
    workloads = {one["name"]: (one["ready"], one["form"]) for one in status["workloads"]}
    assert workloads == dict.fromkeys(("backend", "database", "frontend"), (1, "plain"))
    pods = [one for one in status["pods"] if one["phase"] == "Running"]
    assert {(pod["ready"], pod["containers"], pod["switch"]) for pod in pods} == {(2, 2, True)}
    assert all(pod["sidecar"] == status["istio"] for pod in pods)
    assert status["gateway"]["host"] == application.host
    gateway = status["gateway"]
    assert gateway["url"] or "port-forward svc/istio-ingressgateway" in gateway["command"]
    assert "backend-" in meshtrail(application, "status")[0]


def test_preflight_passes(application: Application) -> None:
    report = json.loads(meshtrail(application, "preflight", "--json", target=False)[0])
    assert report["ok"] is True
    assert [one for one in report["findings"] if one["level"] != "ok"] == []
    assert report["findings"][-1]["check"] == "jaeger"
    out, _ = meshtrail(application, "preflight", "--stage", "before-deploy", target=False)
    assert "everything is there" in out


def telemetry(application: Application, tracing: dict[str, object]) -> dict[str, object]:
    return {
        "apiVersion": "telemetry.istio.io/v1",
        "kind": "Telemetry",
        "metadata": {"name": "planted", "namespace": application.namespace},
        "spec": {"tracing": [tracing]},
    }


def complaints(application: Application) -> list[Finding]:
    found = fetch(connect(), application.namespace)
    return [finding for finding in check(found) if finding.level != "ok"]


def complaint(application: Application, rule: str, level: str, words: str) -> Finding:
    """The finding, once the cluster shows what was planted."""

    def look() -> Finding | None:
        found = complaints(application)
        return next((one for one in found if (one.check, one.level) == (rule, level) and words in one.seen), None)

    found = eventually(look, within=20, what=f"{rule} {level} '{words}', not {complaints(application)}")
    assert found is not None
    return found


@contextmanager
def field(application: Application, resource: str, path: str, value: object, back: object) -> Iterator[None]:
    """The field at a JSON pointer has `value` for a while, and then `back` again."""

    def put(one: object) -> None:
        patch = json.dumps([{"op": "replace", "path": path, "value": one}])
        application.kubectl("patch", resource, "--type=json", "-p", patch)

    put(value)
    try:
        yield
    finally:
        put(back)


def test_preflight_names_a_missing_label(application: Application) -> None:
    name = application.namespace
    kubectl("label", "namespace", name, "istio-injection-")
    try:
        found = complaint(application, "injection", "fail", "no label")
        out, _ = meshtrail(application, "preflight", status=1, target=False)
        assert "fail  injection" in out
        assert found.mend in out
        # Deploying brings the label.
        out, _ = meshtrail(application, "preflight", "--stage", "before-deploy", target=False)
        assert "warn  injection" in out
    finally:
        # What preflight says mends it.
        kubectl("label", "namespace", name, "istio-injection=enabled")
    eventually(lambda: complaints(application) == [], within=20, what="mended")


def test_preflight_names_a_pod_without_sidecar(application: Application) -> None:
    found = get("deployment", "database", "-n", application.namespace)
    labels = {"app": "database-bare", "sidecar.istio.io/inject": "false"}
    bare = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bare", "namespace": application.namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "database-bare"}},
            "template": {**found["spec"]["template"], "metadata": {"labels": labels}},
        },
    }
    kubectl("apply", "-f", "-", input=yaml.safe_dump(bare))
    try:
        complaint(application, "sidecars", "fail", 'bare: sidecar.istio.io/inject is "false"')
    finally:
        application.kubectl("delete", "deployment", "bare", "--grace-period=1")
        application.kubectl("wait", "--for=delete", "pod", "-l", "app=database-bare", "--timeout=60s", timeout=70)


def test_preflight_names_a_port(application: Application) -> None:
    with field(application, "service/backend", "/spec/ports/0/name", "tcp-http", "http"):
        complaint(application, "ports", "fail", "port 8080 serves HTTP and is named 'tcp-http'")


def test_preflight_names_routes_that_lead_nowhere(application: Application) -> None:
    host = "/spec/http/0/route/0/destination/host"
    with field(application, "virtualservice/backend", host, "nowhere", "backend"):
        complaint(application, "routes", "fail", "nowhere, which does not exist")
    gateway, ingress = "gateway.networking.istio.io/three-tier", {"istio": "ingressgateway"}
    with field(application, gateway, "/spec/selector", {"istio": "nothing"}, ingress):
        complaint(application, "gateway", "fail", "selects istio=nothing, and no pod has these labels")


@pytest.mark.parametrize(
    ("tracing", "rule", "level", "words"),
    [
        ({"providers": [{"name": "jeager"}]}, "provider", "fail", "names provider 'jeager'"),
        ({"disableSpanReporting": True}, "provider", "fail", "disableSpanReporting"),
        ({"randomSamplingPercentage": 0}, "sampling", "warn", "0 %, by Telemetry"),
    ],
)
def test_preflight_names_tracing(
    application: Application, tracing: dict[str, object], rule: str, level: str, words: str
) -> None:
    kubectl("apply", "-f", "-", input=yaml.safe_dump(telemetry(application, tracing)))
    try:
        found = complaint(application, rule, level, words)
        assert f"{application.namespace}/planted" in found.seen
    finally:
        application.kubectl("delete", "telemetry", "planted")


def test_a_wrong_namespace_says_where_the_application_is(application: Application) -> None:
    done = subprocess.run(
        [*COMMAND, "status", "--target", "cluster", "--namespace", "default"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "no application in namespace default" in done.stderr
    assert application.namespace in done.stderr


def test_what_a_user_may_not_do_is_said(application: Application, tmp_path: Path) -> None:
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"]["as"] = "nobody-in-particular"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    (tmp_path / "config").chmod(0o600)
    done = subprocess.run(
        [*COMMAND, "preflight", "--namespace", application.namespace],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "KUBECONFIG": str(tmp_path / "config")},
    )
    assert done.returncode == 2, done.stdout
    assert f"may list nothing in namespace {application.namespace}" in done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -9)]
)
def test_a_demo_that_stays_ends_with_its_port_forwards(
    application: Application, number: signal.Signals, status: int
) -> None:
    command = Command(application, "demo", "--requests", "2", "--port-forward")
    try:
        assert command.process.stdout is not None
        said = ""
        while "Ctrl-C ends the demo" not in said:
            line = command.process.stdout.readline()
            assert line, command.process.communicate()
            said += line
        assert f"propagation backend none --target cluster --namespace {application.namespace}" in said
        assert len(command.children()) == 2  # kubectl, for the gateway and for Jaeger
        os.kill(command.process.pid, number)
        assert command.process.wait(20) == status
        eventually(lambda: command.children() == [], what="nothing is left")
    finally:
        command.process.kill()
        command.process.communicate()


def test_a_port_forward_that_breaks_comes_back(application: Application) -> None:
    forwards = Forwards(connect())
    try:
        forward = forwards.start(application.namespace, "svc/frontend", 3000).wait()
        assert ask(f"{forward.url}/healthz") is not None
        assert forward.pid is not None
        os.kill(forward.pid, signal.SIGKILL)
        eventually(lambda: ask(f"{forward.url}/healthz") is not None and forward.restarts == 1, what="it answers again")
    finally:
        forwards.close()


def test_an_unreachable_cluster_is_said_within_seconds(tmp_path: Path) -> None:
    require_cluster()
    config = tmp_path / "config"
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "dead", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "me", "user": {"token": "x"}}],
                "contexts": [{"name": "dead", "context": {"cluster": "dead", "user": "me"}}],
                "current-context": "dead",
            }
        )
    )
    config.chmod(0o600)
    done = subprocess.run(
        [*COMMAND, "preflight"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "KUBECONFIG": str(config)},
    )
    assert done.returncode == 2
    assert "the cluster of context 'dead' does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("config", "current-context").returncode == 0
