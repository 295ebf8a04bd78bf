"""From Istio's routes to the Gateway API's on a running mesh."""

from __future__ import annotations

from tests.e2e.shapes import CHAIN, chain
from tests.parity.asking import ask
from tests.parity.situations import Request
from tests.support.mesh import eventually, meshtrail, running_mesh

from meshtrail.load.target import resolve
from meshtrail.local import state
from meshtrail.reading.jaeger import JaegerClient

GATEWAY = "three-tier-istio.meshtrail"


def test_the_new_gateway_has_the_old_one_s_port_and_its_own_name() -> None:
    with running_mesh() as mesh:
        meshtrail("delete", "--name", mesh.name, "-f", "istio/three-tier")
        assert state.load(mesh.name).gateway == ""
        meshtrail("apply", "--name", mesh.name, "-f", "istio/gateway-api/three-tier")
        now = state.load(mesh.name)
        gateways = [process.name for process in now.processes if process.kind == "gateway"]
        assert (gateways, len(now.problems)) == (["three-tier-istio"], 0)
        target = resolve(now.gateway)
        assert ask((target.address, target.port), Request(host="three-tier.example"))[0] == 200
        with JaegerClient(now.jaeger) as client:
            found = eventually(lambda: [t for t in client.find(GATEWAY) if len(t.spans) == len(CHAIN)])
        assert chain(found[0]) == [(GATEWAY, "server"), (GATEWAY, "client"), *CHAIN[2:]]
