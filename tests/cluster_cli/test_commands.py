"""Commands on a cluster, with a kubectl that answers what a real one did; tests/cluster has the real thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster_package.support import Cluster
from tests.support.mesh import COMMAND, ROOT

from meshtrail.cli import main

# Answers from one recorded cluster: `get KINDS --namespace N -o json` and what else a snapshot asks.
KUBECTL = """\
#!{python}
import json, sys
PART_OF = "app.kubernetes.io/part-of"
recorded = json.load(open({recorded!r}))
words = sys.argv[1:]
if words[:2] == ["config", "get-contexts"]:
    print(recorded["context"])
elif words[:2] == ["config", "current-context"]:
    print(recorded["context"])
else:
    assert words[:2] == ["--context", recorded["context"]], words
    words = words[2:]
    if words[0] == "version":
        print(json.dumps({{"serverVersion": {{"gitVersion": recorded["version"]}}}}))
    elif words[0] == "api-versions":
        print("\\n".join(f"{{group}}/v1" for group in recorded["apis"]))
    elif words[:2] == ["config", "view"]:
        print(json.dumps({{"clusters": [{{"cluster": {{"server": recorded["server"]}}}}]}}))
    elif words[0] == "get":
        place = words[words.index("--namespace") + 1] if "--namespace" in words else None
        if words[1] == "configmaps":
            mesh = json.dumps(recorded["mesh"])
            print(json.dumps({{"items": [{{"metadata": {{"name": "istio"}}, "data": {{"mesh": mesh}}}}]}}))
            sys.exit()
        else:
            kinds = [kind.partition(".")[0].replace("ies", "ys").rstrip("s") for kind in words[1].split(",")]
            items = [
                one for one in recorded["items"]
                if one["kind"].lower() in kinds and (place is None or one["metadata"].get("namespace") == place)
            ]
        if "--selector" in words:
            items = [one for one in items if one["metadata"].get("labels", {{}}).get(PART_OF) == "three-tier"]
        print(json.dumps({{"items": items}}))
    else:
        sys.exit(f"not foreseen: {{words}}")
"""


class Fake:
    """A folder with a kubectl that answers from `cluster`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = Cluster()

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        recorded = self.folder / "recorded.json"
        recorded.write_text(json.dumps(self.cluster.data))
        program = self.folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable, recorded=str(recorded)))
        program.chmod(0o755)
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "NO_COLOR": "1", "PATH": path, **environment},
        )


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def without_jaeger(fake: Fake) -> None:
    """Nothing to reach for, and nothing to open a port-forward to."""
    fake.cluster.drop(lambda item: item["kind"] == "Service" and item["metadata"]["name"] in ("tracing", "jaeger-host"))


def test_preflight_says_what_is_there_and_what_is_not(fake: Fake) -> None:
    without_jaeger(fake)
    del fake.cluster.one("Namespace", "mt-e")["metadata"]["labels"]["istio-injection"]
    done = fake.run("preflight", "--namespace", "mt-e")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["ok", "kubernetes", "Kubernetes", "1.34.4,", "context", "kind-meshtrail"]
    injection = next(number for number, line in enumerate(lines) if line.startswith("fail  injection"))
    assert "mend: kubectl label namespace mt-e istio-injection=enabled" in lines[injection + 1]
    assert any(line.startswith("fail  jaeger") for line in lines)
    assert lines[-1] == "namespace mt-e: 2 to mend"


def test_preflight_as_json(fake: Fake) -> None:
    without_jaeger(fake)
    fake.cluster.one("Service", "backend")["spec"]["ports"][0]["name"] = "tcp"
    done = fake.run("preflight", "--json", "--context", "kind-meshtrail", MESHTRAIL_NAMESPACE="mt-e")
    report = json.loads(done.stdout)
    assert (report["version"], report["namespace"], report["stage"], report["ok"]) == (1, "mt-e", "deployed", False)
    (ports,) = (finding for finding in report["findings"] if finding["check"] == "ports")
    assert ports["mend"].startswith("kubectl --context kind-meshtrail -n mt-e patch service backend")
    assert {tuple(finding) for finding in report["findings"]} == {("check", "level", "seen", "mend")}


def test_a_status_that_is_not_ready_is_status_1(fake: Fake) -> None:
    fake.cluster.one("Pod", "backend")["status"]["containerStatuses"][0]["ready"] = False
    without_jaeger(fake)
    done = fake.run("status", "--target", "cluster", "--namespace", "mt-e", "--json", MESHTRAIL_PORT_FORWARD="1")
    assert done.returncode == 1, done.stderr
    status = json.loads(done.stdout)
    assert status["ready"] is False
    assert status["jaeger"]["problem"]
    assert status["gateway"]["command"].endswith("port-forward svc/istio-ingressgateway 8080:80")
    (backend,) = (pod for pod in status["pods"] if pod["service"] == "backend")
    assert (backend["ready"], backend["containers"], backend["sidecar"]) == (1, 2, "1.29.2")


@pytest.mark.parametrize("command", ["demo", "propagation"])
def test_an_application_that_is_not_there_says_how_to_deploy_it(fake: Fake, command: str) -> None:
    fake.cluster.drop(lambda item: item["kind"] == "Deployment" and item["metadata"]["namespace"] == "mt-e")
    done = fake.run(command, MESHTRAIL_TARGET="cluster")
    assert done.returncode == 2
    assert "no namespace meshtrail of context 'kind-meshtrail'" in done.stderr
    assert "skaffold run, or kubectl apply -k k8s/overlays/dev" in done.stderr


def test_an_application_elsewhere_is_named(fake: Fake) -> None:
    done = fake.run("status", "--target", "cluster")
    assert done.returncode == 2
    assert "say --namespace mt-e" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--context", "x"], "only with --target cluster"),
        (["trace", "--port-forward"], "only with --target cluster"),
        (["status", "--target", "cluster", "--name", "x"], "only with --target local"),
        (["demo", "--target", "cluster", "--form", "otel"], "only with --target local"),
        (["load", "--target", "cluster", "--url", "http://127.0.0.1"], "only with --target local"),
        (["trace", "--target", "cluster", "--jaeger", "http://127.0.0.1"], "only with --target local"),
        (["status", "--target", "cloud"], "is not one of"),
    ],
)
def test_options_that_mean_nothing_there_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_no_kubectl_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "preflight"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "no kubectl on the PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_of_clusters() -> None:
    program = "import sys; from meshtrail.cli import group; print('meshtrail.cluster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
