"""skaffold as a user types it: each profile gives one complete trace, and an edit is live in seconds."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.cluster.support import EVERYTHING, apply, get, kubectl, require_cluster, run
from tests.support.absent import absent
from tests.support.mesh import ROOT, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMESPACE = "meshtrail"


@pytest.fixture(scope="module", autouse=True)
def prepared() -> Iterator[None]:
    """skaffold, and a cluster on which nobody else runs the application of skaffold.yaml."""
    require_cluster()
    if shutil.which("skaffold") is None:
        absent("no skaffold on the PATH")
    if not run("get", "namespace", NAMESPACE).returncode:
        leaving = get("namespace", NAMESPACE)["status"]["phase"] == "Terminating"
        if not leaving and get("pods", "-n", NAMESPACE)["items"]:
            pytest.fail(f"namespace {NAMESPACE} is in use: `skaffold delete` first")
        kubectl("delete", "namespace", NAMESPACE, timeout=120)
    try:
        yield
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=120)
        # The mesh-wide part, for whoever comes next.
        kubectl("apply", "-k", "istio/mesh")


def skaffold(*arguments: str, status: int | None = 0, folder: Path = ROOT, **variables: str) -> str:
    done = subprocess.run(
        ["skaffold", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        env={**os.environ, "SKAFFOLD_UPDATE_CHECK": "false", **variables},
        check=False,
    )
    assert status is None or done.returncode == status, f"skaffold {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout


def delete(*chosen: str) -> None:
    """skaffold does not wait for what it deletes."""
    skaffold("delete", *chosen)
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=90s", timeout=100)


def secret_of_postgres() -> None:
    """What docs/production.md says to make before staging and production."""
    meta = {"name": NAMESPACE}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    url = "postgresql://database:only-for-this-test@postgres:5432/database"
    kubectl(
        "-n", NAMESPACE, "create", "secret", "generic", "postgres",
        "--from-literal=password=only-for-this-test", f"--from-literal=url={url}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("profiles", "spans"),
    [
        ("", 7),
        ("otel", 15),
        ("otel,b3", 15),
        ("postgres,gateway-api", 7),
        ("production,otel", 15),
        ("polyglot", 7),
        ("polyglot,otel,postgres", 15),
        ("bookinfo,gateway-api", 9),
        ("bookinfo,otel,postgres", 19),
        ("helloworld,gateway-api", 3),
        ("helloworld-go,otel", 4),
        *([("bookinfo,otel", 18), ("postgres,bookinfo", 9), ("helloworld,otel", 4)] if EVERYTHING else []),
    ],
    ids=lambda one: one or "plain" if isinstance(one, str) else "",
)
def test_a_profile_gives_one_complete_trace(profiles: str, spans: int) -> None:
    chosen = ["-p", profiles] if profiles else []
    if "production" in profiles:
        secret_of_postgres()
    skaffold("run", *chosen)
    try:
        assert {"mode": "STRICT"} in [
            one["spec"].get("mtls") for one in get("peerauthentication", "-n", NAMESPACE)["items"]
        ]
        said = skaffold("verify", *chosen)
        assert f"one complete trace in Jaeger: {spans} spans of" in said, said
    finally:
        delete(*chosen)


def test_a_namespace_without_injection_is_named_and_mended() -> None:
    """The check before the deployment says what is wrong and what mends it; the manifests bring the label along."""
    labels = {"istio-injection": "disabled"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    said = skaffold("run")
    try:
        assert f"label namespace {NAMESPACE} istio-injection=enabled" in said
        for pod in get("pods", "-n", NAMESPACE)["items"]:
            assert "istio-proxy" in [one["name"] for one in pod["spec"].get("initContainers", [])]
    finally:
        delete()


def test_without_jaeger_nothing_is_deployed() -> None:
    """skaffold stops at the check, which says what is missing."""
    kubectl("-n", "istio-system", "scale", "deployment/jaeger", "--replicas=0")
    kubectl("-n", "istio-system", "wait", "--for=delete", "pod", "-l", "app=jaeger", "--timeout=60s", timeout=70)
    try:
        said = skaffold("run", status=2)
        assert "fail  jaeger" in said
        assert run("get", "namespace", NAMESPACE).returncode
    finally:
        kubectl("-n", "istio-system", "scale", "deployment/jaeger", "--replicas=1")
        kubectl("-n", "istio-system", "rollout", "status", "deployment/jaeger", "--timeout=90s", timeout=100)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what skaffold reads, to edit in."""
    clone = tmp_path / "clone"
    for folder in ("services", "k8s", "istio", "skaffold"):
        shutil.copytree(ROOT / folder, clone / folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for file in ("skaffold.yaml", "Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy2(ROOT / file, clone / file)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    return clone


@contextmanager
def skaffold_dev(folder: Path) -> Iterator[Path]:
    """`skaffold dev` in the background until the block ends, then Ctrl-C; its output, as a file."""
    # Beside the folder: skaffold notices every write in it.
    log = folder.parent / "skaffold.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["skaffold", "dev"], cwd=folder, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "SKAFFOLD_UPDATE_CHECK": "false"},
        )  # fmt: skip
        try:
            yield log
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(90)


def test_an_edit_is_live_within_ten_seconds(clone: Path) -> None:
    source = clone / "services/backend/python/backend/app.py"
    original = source.read_text()
    assert "Backend response" in original

    def answer() -> str:
        try:
            return httpx.get(f"{gateway}/", trust_env=False, timeout=10).text
        except httpx.TransportError:
            return ""

    with skaffold_dev(clone) as log:
        # skaffold says so once it watches; an edit before that would be taken for a part of the first build.
        eventually(lambda: "Watching for changes" in log.read_text(), within=240, what=log.name)
        gateway = eventually(lambda: forwarded_address(log, "istio-ingressgateway"), within=30)
        jaeger = eventually(lambda: forwarded_address(log, "tracing"), within=30)
        eventually(lambda: "Backend response" in answer(), within=30, what="the application answers")
        assert "data" in httpx.get(f"{jaeger}/jaeger/api/services", trust_env=False, timeout=10).json()
        (pod,) = kubectl("-n", NAMESPACE, "get", "pods", "-l", "app=backend", "-o", "name").split()
        source.write_text(original.replace("Backend response", "Edited response"))
        eventually(lambda: "Edited response" in answer(), within=10, what="the edit is live")
        # By sync: the same pod.
        assert kubectl("-n", NAMESPACE, "get", "pods", "-l", "app=backend", "-o", "name").split() == [pod]
    # Ctrl-C took everything away.
    eventually(lambda: run("get", "namespace", NAMESPACE).returncode, within=90, what="the namespace is gone")


def forwarded_address(log: Path, service: str) -> str | None:
    """Where `skaffold dev` says that it forwards a Service; another port when the one in skaffold.yaml is taken."""
    found = re.findall(rf"service/{service} in namespace \S+ remote port \d+ -> (http\S+)", log.read_text())
    return found[-1] if found else None
