"""The switch in every pod of a service, or in none: real control ports behind a kubectl that leads to them."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cluster_package.support import Cluster, container

from meshtrail.cluster import propagation
from meshtrail.cluster.kubectl import ClusterError, Kubectl
from meshtrail.cluster.session import Session, Where
from meshtrail_common.control import ControlServer
from meshtrail_common.propagation import Switch

KUBECTL = """\
#!{python}
import json, sys, time
pod = next(word for word in sys.argv if word.startswith("pod/")).split("/")[1]
print(f"Forwarding from 127.0.0.1:{{json.load(open({ports!r}))[pod]}} -> 8090", flush=True)
time.sleep(60)
"""


class Pods:
    """Two pods of backend, `a` and `b`, each with a real control port; `ports` is read when a forward starts."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster()
        recorded = self.cluster.one("Pod", "backend")
        for letter in "ab":
            pod = json.loads(json.dumps(recorded))
            pod["metadata"]["name"] = f"backend-{letter}"
            self.cluster.add(pod)
        self.cluster.items.remove(recorded)
        self.switches = {f"backend-{letter}": Switch("all") for letter in "ab"}
        self.folder = folder
        self.ports: dict[str, int] = {}
        self.servers: dict[str, ControlServer] = {}
        for name, switch in self.switches.items():
            taken = socket.create_server(("127.0.0.1", 0))
            self.ports[name] = taken.getsockname()[1]
            self.servers[name] = ControlServer(taken, switch)
            self.servers[name].start()

    @property
    def modes(self) -> list[str]:
        return [switch.mode for switch in self.switches.values()]

    @contextmanager
    def session(self) -> Iterator[Session]:
        (self.folder / "ports.json").write_text(json.dumps(self.ports))
        program = self.folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable, ports=str(self.folder / "ports.json")))
        program.chmod(0o755)
        snapshot = self.cluster.snapshot()
        session = Session(Where(namespace="mt-e"), Kubectl(str(program), "c"), snapshot)
        try:
            yield session
        finally:
            session.forwards.close()


@pytest.fixture
def pods(tmp_path: Path) -> Pods:
    return Pods(tmp_path)


def test_every_pod_is_switched(pods: Pods) -> None:
    with pods.session() as session:
        assert propagation.switch(session, "backend", "none") == {"backend": {"backend-a": "none", "backend-b": "none"}}
        assert propagation.show(session, "backend") == {"backend": {"backend-a": "none", "backend-b": "none"}}
    assert pods.modes == ["none", "none"]


def test_one_that_does_not_answer_keeps_all_from_being_switched(pods: Pods) -> None:
    # Bound and not listening: nobody answers there, and nobody else is given the port meanwhile.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        pods.ports["backend-b"] = closed.getsockname()[1]
        with pods.session() as session, pytest.raises(ClusterError, match="backend-b does not answer"):
            propagation.switch(session, "backend", "none")
    assert pods.modes == ["all", "all"]


class Stubborn(Switch):
    """Takes a change, and stays as it is."""

    @property
    def mode(self) -> str:
        return "w3c"

    @mode.setter
    def mode(self, mode: str) -> None:
        pass


def test_one_that_does_not_change_has_the_others_put_back(pods: Pods) -> None:
    pods.switches["backend-a"].mode = "b3"
    pods.servers["backend-b"].switch = Stubborn()
    with pods.session() as session, pytest.raises(ClusterError, match="says 'w3c' after it was switched to 'none'"):
        propagation.switch(session, "backend", "none")
    assert pods.switches["backend-a"].mode == "b3"


def test_a_service_without_the_switch_says_how_to_get_it(pods: Pods) -> None:
    for letter in "ab":
        pod = pods.cluster.one("Pod", f"backend-{letter}")
        for entry in pod["spec"]["containers"][0]["env"]:
            if entry["name"] == "PROPAGATION_CONTROL":
                entry["value"] = "off"
    with pods.session() as session:
        with pytest.raises(ClusterError, match="backend has no propagation switch") as caught:
            propagation.switch(session, "backend", "none")
        assert "k8s/components/propagation-control" in caught.value.mend


def test_a_pod_that_is_not_ready_keeps_all_from_being_switched(pods: Pods) -> None:
    pods.cluster.one("Pod", "backend-b")["status"]["containerStatuses"][0]["ready"] = False
    with pods.session() as session, pytest.raises(ClusterError, match="backend-b is not ready"):
        propagation.switch(session, "backend", "none")
    assert pods.modes == ["all", "all"]


def test_wrong_names_are_told(pods: Pods) -> None:
    with pods.session() as session:
        with pytest.raises(ClusterError, match="no propagation mode 'some'"):
            propagation.switch(session, "backend", "some")
        with pytest.raises(ClusterError, match="no pods of service 'bakend'") as caught:
            propagation.switch(session, "bakend", "none")
    assert "backend, database, frontend" in caught.value.mend


def test_the_manifest_is_not_asked_for_the_mode(pods: Pods) -> None:
    """The mode that a pod has is what it says, whatever its manifest said when it started."""
    container(pods.cluster, "backend")["env"] = [{"name": "PROPAGATION", "value": "none"}]
    with pods.session() as session:
        assert propagation.show(session, "backend")["backend"]["backend-a"] == "all"
