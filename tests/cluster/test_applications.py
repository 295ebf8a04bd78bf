"""bookinfo and helloworld on the cluster by the command line: the demo, the switch over all versions of a service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.support import Application, deployed
from tests.cluster.test_cli import meshtrail
from tests.support.mesh import eventually

from meshtrail.model.trace import Trace
from meshtrail.reading.jaeger import JaegerClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def bookinfo() -> Iterator[Application]:
    with deployed("k8s/overlays/bookinfo") as application:
        yield application


def drawn(out: str) -> set[int]:
    """How many spans of proxies each drawn trace may have had: those of one request."""
    return {len([line for line in out.splitlines() if "SERVER" in line or "CLIENT" in line])}


def test_demo_of_bookinfo_draws_its_page(bookinfo: Application) -> None:
    out, _ = meshtrail(bookinfo, "demo", "bookinfo", "--once", "--requests", "6")
    assert "status: 200 x 6" in out
    assert "one trace, complete" in out
    # With v1 of reviews, which asks nobody, or with v2 or v3.
    assert drawn(out) <= {7, 9}
    _, err = meshtrail(bookinfo, "demo", "helloworld", "--once", status=2)
    assert "holds bookinfo, not helloworld" in err
    assert "skaffold run -p helloworld" in err


def test_all_versions_of_reviews_are_switched(bookinfo: Application, jaeger: str) -> None:
    out, _ = meshtrail(bookinfo, "propagation", "reviews", "none")
    assert "(3 pods)" in out

    def spans(mark: str, *, whole: dict[str, int]) -> None:
        """Twelve traces, each with the spans that its version of reviews gives; which version answers is chance."""
        for _ in range(12):
            assert bookinfo.get("/productpage", headers={"user-agent": mark}).status_code == 200

        def arrived() -> bool:
            with JaegerClient(jaeger) as client:
                found = client.find(bookinfo.gateway, tags={"user_agent": mark}, limit=20)
            return len(found) == 12 and all(len(trace.spans) == whole[asked(trace)] for trace in found)

        eventually(arrived, within=30, what=f"twelve traces of {whole} spans")

    # Whichever version answered, its call of ratings is a trace of its own.
    spans("meshtrail-test/broken", whole={"v1": 7, "v2": 7, "v3": 7, "": -1})
    meshtrail(bookinfo, "propagation", "reviews", "all")
    spans("meshtrail-test/healed", whole={"v1": 7, "v2": 9, "v3": 9, "": -1})


def asked(trace: Trace) -> str:
    """The version of reviews that answered, from its sidecar's node id; empty while its span is on its way."""
    nodes = [str(span.tags.get("node_id", "")) for span in trace.spans if span.app == "reviews"]
    return next((version for version in ("v1", "v2", "v3") if any(f"reviews-{version}-" in node for node in nodes)), "")


def test_demo_of_helloworld() -> None:
    with deployed("k8s/overlays/helloworld-go-otel") as application:
        out, _ = meshtrail(application, "demo", "--once", "--requests", "3")
        assert "one trace, complete" in out
        # Gateway, sidecar, application, and nothing else.
        assert drawn(out) == {4}
