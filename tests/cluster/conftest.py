"""What all tests on a cluster share: the address of its Jaeger, one deployment of the staging overlay, and one of both
routing APIs with who may call whom.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.support import Application, Object, build, deployed, jaeger_url, run, wait_ready
from tests.support.absent import absent
from tests.support.mesh import eventually

STAGING = "k8s/overlays/staging"


@pytest.fixture(scope="session")
def jaeger() -> Iterator[str]:
    """Jaeger's query address; skips the test when there is no cluster."""
    with jaeger_url() as url:
        yield url


@pytest.fixture(scope="session")
def staging() -> Iterator[Application]:
    """The staging overlay: PostgreSQL, policies, two pods of each service. A test leaves it as it found it.

    The mesh's sampling stays at 100 %: mesh-wide objects are left out.
    """
    with deployed(STAGING, change=with_secret) as application:
        yield application


@pytest.fixture(scope="session")
def secured() -> Iterator[Application]:
    """The dev overlay's workloads behind two gateways, Istio's ingress gateway and one of the Gateway API, which routes
    inside of the mesh too; with istio/security. A test leaves it as it found it.
    """
    if run("get", "crd", "httproutes.gateway.networking.k8s.io").returncode:
        absent("no Gateway API in the cluster: scripts/gateway-api-crds")
    folders = ("k8s/overlays/dev/workloads", "istio/gateway-api/three-tier", "istio/gateway-api/security")
    with deployed(*folders, change=with_ingress_gateway) as application:
        # istiod makes the gateway's Deployment in its own time.
        made = ("-n", application.namespace, "get", "deployment", "three-tier-istio")
        eventually(lambda: run(*made).returncode == 0, within=30, what="istiod makes the gateway")
        wait_ready(application.namespace)
        yield application


def with_ingress_gateway(objects: list[Object]) -> list[Object]:
    """What leads from the ingress gateway to frontend, beside the routes of the Gateway API."""
    wanted = {("Gateway", "three-tier"), ("VirtualService", "frontend")}
    return [*objects, *(one for one in build("istio/three-tier") if (one["kind"], one["metadata"]["name"]) in wanted)]


def with_secret(objects: list[Object]) -> list[Object]:
    """The Secret that a user makes by hand; here it is that of development."""
    return [*objects, *(one for one in build("k8s/overlays/dev-postgres/workloads") if one["kind"] == "Secret")]
