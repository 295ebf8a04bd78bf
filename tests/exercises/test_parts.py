"""Parts of the exercises that need neither mesh nor cluster."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from meshtrail.cluster.keeping import plain, resource
from meshtrail.cluster.moving import host_of, moved
from meshtrail.exercises import rehearsal
from meshtrail.exercises.pages import Block
from meshtrail.exercises.rehearsal_cluster import NAMED_IMAGES, images, quantity_mb
from meshtrail.exercises.sending import send
from meshtrail.exercises.walk import changes_something


def one(kind: str, namespace: str | None = "meshtrail", **spec: Any) -> dict[str, Any]:
    meta = {"name": "a", **({} if namespace is None else {"namespace": namespace})}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def test_an_overlay_is_moved_to_the_namespace_with_its_host() -> None:
    gateway, route, inner, telemetry = moved(
        [
            one("Gateway", servers=[{"hosts": ["*"]}]),
            one("VirtualService", None, hosts=["*"]),
            one("VirtualService", hosts=["backend"], http=[{"to": "backend.meshtrail.svc.cluster.local"}]),
            one("Telemetry", "istio-system"),
        ],
        "team-1",
    )
    assert gateway["spec"]["servers"] == [{"hosts": ["team-1.test"]}]
    assert (route["metadata"]["namespace"], route["spec"]["hosts"]) == ("team-1", ["team-1.test"])
    assert inner["spec"] == {"hosts": ["backend"], "http": [{"to": "backend.team-1.svc.cluster.local"}]}
    assert telemetry == one("Telemetry", "istio-system")


def test_in_its_own_namespace_nothing_is_renamed() -> None:
    route = one("VirtualService", hosts=["*"])
    assert moved([route], "meshtrail") == [route]
    assert host_of("meshtrail") == ""


def test_a_kept_object_has_nothing_that_the_cluster_added() -> None:
    found = one("Deployment")
    found["status"] = {"replicas": 1}
    found["metadata"] |= {
        "uid": "x", "resourceVersion": "1", "generation": 2,
        "annotations": {"deployment.kubernetes.io/revision": "3"},
    }  # fmt: skip
    assert plain(found) == one("Deployment")
    found["metadata"]["annotations"] = {"own": "kept"}
    assert plain(found)["metadata"]["annotations"] == {"own": "kept"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Telemetry", "telemetries.telemetry.istio.io"),
        ("Gateway", "gateways.networking.istio.io"),
        ("ServiceEntry", "serviceentries.networking.istio.io"),
        ("AuthorizationPolicy", "authorizationpolicies.security.istio.io"),
        ("Deployment", "deployment"),
    ],
)
def test_a_kind_is_asked_for_by_its_full_name_where_several_have_it(kind: str, name: str) -> None:
    assert resource(kind) == name


@pytest.mark.parametrize(
    ("text", "mb"), [("64Mi", 67.108864), ("1Gi", 1073.741824), ("500M", 500), ("1000000", 1), ("some", 0)]
)
def test_a_quantity_of_memory(text: str, mb: float) -> None:
    assert quantity_mb(text) == pytest.approx(mb)


def test_only_a_wrong_answer_changes_nothing() -> None:
    answer = Block("wrong", "meshtrail exercise check 1 --answer a\n", 1)
    assert not changes_something(answer)
    assert changes_something(Block("wrong", "meshtrail propagation backend b3", 1))
    assert changes_something(Block("wrong", f"meshtrail apply -k x\n{answer.commands}", 1))


def test_the_machine_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(rehearsal, "WELL_KNOWN", {"gateway": ("--gateway-port", "ingress gateway", port)})
        busy = {line.what: line for line in rehearsal.machine("no-such-mesh", auto_ports=False)}
        chosen = {line.what: line for line in rehearsal.machine("no-such-mesh", auto_ports=True)}
    assert busy["ports"].level == "fail"
    assert f"{port} (ingress gateway" in busy["ports"].text
    assert "MESHTRAIL_PORTS=auto" in busy["ports"].mend
    assert all(chosen[what].level == "ok" for what in ("python", "bash", "envoy", "ports"))


def test_images_that_no_node_names_are_said() -> None:
    named = [{"names": [f"docker.io/meshtrail/{name}-python:0.1.0"]} for name in ("frontend", "backend")]
    node = {"status": {"images": [*named, {"names": None}]}}
    assert images([{}, node], {"frontend-python", "backend-python"}).level == "ok"
    missing = images([{}, node], {"frontend-python", "database-python"})
    assert (missing.level, missing.text) == ("warn", "not seen on a node: database-python")
    assert missing.mend.startswith("docs/images.md")
    # A node names only so many of its images.
    full = {"status": {"images": named * (NAMED_IMAGES // 2)}}
    assert images([full], {"database-python"}).mend.startswith("perhaps nothing")


@pytest.mark.parametrize(("count", "parallel"), [(0, 1), (1001, 1), (1, 33)])
def test_a_check_sends_within_bounds(count: int, parallel: int) -> None:
    with pytest.raises(ValueError, match="requests"):
        send("http://127.0.0.1:9", host="", count=count, headers={}, parallel=parallel)


def test_an_answer_that_did_not_come_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        answers = send(f"http://127.0.0.1:{taken.getsockname()[1]}/", host="", count=2, headers={}, parallel=2)
    assert [answer.status for answer in answers] == [0, 0]
    assert all(answer.error for answer in answers)
    assert len({answer.mark for answer in answers}) == 2
