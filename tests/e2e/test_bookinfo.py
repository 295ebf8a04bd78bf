"""bookinfo on real Envoys: versions, users, faults, copies and the switch, as page and trace show them."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from tests.e2e.book_service import HOST, book_service
from tests.e2e.routing import NO_TLS, Routing, istio, now_us, versions
from tests.e2e.test_matrix import switch
from tests.e2e.trees import Expected, pieces
from tests.support.mesh import eventually, meshtrail, running_mesh

from meshtrail.local import state
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace

# One mesh for all of them: they stay on one worker.
pytestmark = pytest.mark.xdist_group("bookinfo")

PRODUCTPAGE, REVIEWS, RATINGS = "productpage.meshtrail", "reviews.meshtrail", "ratings.meshtrail"
TWO_DEEP: Mapping[str, tuple[str, ...]] = MappingProxyType({"productpage": ("details", "reviews")})
THREE_DEEP = MappingProxyType({**TWO_DEEP, "reviews": ("ratings",)})
BY_USER = ("istio/bookinfo/all-v1", "istio/bookinfo/by-user")
API = "istio/gateway-api/bookinfo"
FOLDER = Path(__file__).with_name("bookinfo")


@pytest.fixture(scope="module")
def mesh() -> Iterator[Routing]:
    with running_mesh("bookinfo") as running:
        yield Routing(running)


class Browser:
    """Somebody who reads the page, signed in as `user` if a name is given."""

    def __init__(self, mesh: Routing, user: str = "") -> None:
        self.mesh = mesh
        self.cookies = httpx.Cookies()
        if user:
            answer = self.ask("POST", "/login", data={"username": user, "passwd": "x"})
            assert answer.status_code == 302
            self.cookies = answer.cookies

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        with httpx.Client(
            base_url=self.mesh.mesh.gateway, cookies=self.cookies, trust_env=False, timeout=15, verify=NO_TLS
        ) as client:
            return client.request(method, path, **more)

    def page(self) -> str:
        answer = self.ask("GET", "/productpage")
        assert answer.status_code == 200, answer.text
        return answer.text

    def stars(self) -> set[str]:
        """The colors of the stars on the page."""
        return colors(self.page())


def colors(page: str) -> set[str]:
    return set(re.findall(r"\d of 5 stars, (\w+)", page))


def client_spans(trace: Trace, service: str, to: str) -> list[Span]:
    """The calls of a service to another as its sidecar saw them, in order."""
    found = [span for span in trace.spans if (span.service, span.kind) == (service, "client") and to in span.name]
    return sorted(found, key=lambda span: span.start_us)


@pytest.mark.parametrize(
    ("route", "calls", "seen"),
    [
        ("all-v1", TWO_DEEP, set()),
        ("reviews-v2", THREE_DEEP, {"black"}),
        ("reviews-v3", THREE_DEEP, {"red"}),
    ],
)
def test_v1_is_two_services_deep_and_the_others_three(
    mesh: Routing, route: str, calls: Mapping[str, tuple[str, ...]], seen: set[str]
) -> None:
    with mesh.laid_folders(f"istio/bookinfo/{route}"):
        since = now_us()
        assert Browser(mesh).stars() == seen
        (trace,) = pieces(mesh.mesh.jaeger, since, Expected("productpage", calls).pieces())
    assert versions([span for span in trace.spans if span.service == REVIEWS]) == Counter(
        {route.removeprefix("all-").removeprefix("reviews-"): 1 + ("reviews" in calls)}
    )


def test_without_a_route_the_versions_take_turns(mesh: Routing) -> None:
    browser = Browser(mesh)
    seen = {frozenset(browser.stars()) for _ in range(30)}
    assert seen == {frozenset(), frozenset({"black"}), frozenset({"red"})}


def test_jason_sees_v2_also_when_the_trace_breaks(mesh: Routing) -> None:
    with mesh.laid_folders(*BY_USER):
        jason = Browser(mesh, "jason")
        assert (jason.stars(), Browser(mesh, "mary").stars(), Browser(mesh).stars()) == ({"black"}, set(), set())
        # The header that routes is no tracing header: the switch leaves it alone.
        try:
            switch(mesh.mesh, "productpage", "none")
            since = now_us()
            assert jason.stars() == {"black"}
            pieces(mesh.mesh.jaeger, since, Expected("productpage", THREE_DEEP).pieces(["productpage"]))
        finally:
            switch(mesh.mesh, "productpage", "all")


def test_headers_dropped_in_reviews_split_the_trace_there_in_every_version(mesh: Routing) -> None:
    try:
        done = meshtrail("propagation", "reviews", "none", "--name", mesh.mesh.name)
        assert done.stdout.split() == ["reviews-v1", "none", "reviews-v2", "none", "reviews-v3", "none"]
        assert meshtrail("propagation", "reviews", "--name", mesh.mesh.name).stdout == done.stdout
        for route in ("reviews-v2", "reviews-v3"):
            with mesh.laid_folders(f"istio/bookinfo/{route}"):
                since = now_us()
                Browser(mesh).page()
                traces = pieces(mesh.mesh.jaeger, since, Expected("productpage", THREE_DEEP).pieces(["reviews"]))
                assert [trace.roots[0].service for trace in traces[1:]] == [REVIEWS]
    finally:
        switch(mesh.mesh, "reviews", "all")


def test_a_delay_for_jason_shows_the_retry_and_an_apology(mesh: Routing) -> None:
    with mesh.laid_folders(*BY_USER, "istio/bookinfo/delay-jason"):
        begin = time.monotonic()
        assert Browser(mesh, "mary").stars() == set()
        assert time.monotonic() - begin < 3
        jason = Browser(mesh, "jason")
        since = now_us()
        page = jason.page()
    assert "Sorry, the reviews" in page
    assert colors(page) == set()
    trace = mesh.newest(since, lambda trace: len(client_spans(trace, PRODUCTPAGE, "reviews")) == 2)
    first, second = client_spans(trace, PRODUCTPAGE, "reviews")
    # Side by side below productpage, the second once the first has failed, each as long as the timeout.
    assert trace.parent_of(first) == trace.parent_of(second)
    assert first.end_us <= second.start_us + 1000
    for span in (first, second):
        assert span.error
        assert 2.9e6 < span.end_us - span.start_us < 3.5e6


@pytest.mark.parametrize(
    ("route", "status"), [pytest.param("abort-jason", 500, marks=pytest.mark.matrix), ("abort-555-jason", 555)]
)
def test_an_abort_for_jason_leaves_reviews_without_stars(mesh: Routing, route: str, status: int) -> None:
    with mesh.laid_folders(*BY_USER, f"istio/bookinfo/{route}"):
        jason = Browser(mesh, "jason")
        since = now_us()
        page = jason.page()
        assert "Reviewer1" in page
        assert colors(page) == set()
        trace = mesh.newest(since, lambda trace: bool(client_spans(trace, REVIEWS, "ratings")))
    (call,) = client_spans(trace, REVIEWS, "ratings")
    assert (call.error, call.tags["http.status_code"], call.tags["response_flags"]) == (True, str(status), "FI")
    assert trace.children_of(call) == ()


def test_a_copy_of_each_request_reaches_v3_and_its_answer_nobody(mesh: Routing) -> None:
    with mesh.laid_folders("istio/bookinfo/mirror"):
        assert_mirrored(mesh)


def assert_mirrored(mesh: Routing) -> None:
    copies = "cluster.inbound|9080||;.upstream_rq_total"
    before = mesh.counter("reviews-v3", copies)
    since = now_us()
    assert Browser(mesh).stars() == set()
    eventually(lambda: mesh.counter("reviews-v3", copies) == before + 1, what="the copy")
    # Istio traces no copies: not v3's request, and not the one to ratings that came of it.
    assert versions(mesh.received(REVIEWS, since, 1)) == Counter(v1=1)


@pytest.mark.matrix
def test_a_version_of_ratings_that_fails_half_the_time(mesh: Routing) -> None:
    with mesh.laid_folders("k8s/ratings/v-faulty", "istio/bookinfo/ratings-v-faulty"):
        since = now_us()
        answers = [mesh.get("/api/v1/products/0/ratings").status_code for _ in range(22)]
        spans = mesh.received(RATINGS, since, 22)
    assert set(versions(spans)) == {"v-faulty"}
    # All good, or all bad, by chance: once in two million runs. Nobody asks again: a 503 is no reason to, on Istio.
    assert set(answers) == {200, 503}
    assert Counter(span.tags["http.status_code"] for span in spans) == Counter(map(str, answers))


@pytest.mark.matrix
def test_details_asks_outside_and_the_sidecar_speaks_tls(mesh: Routing, tmp_path: Path) -> None:
    with book_service(tmp_path) as books, mesh.laid_folders("k8s/details/v2", "istio/bookinfo/egress"):
        # The host of the manifest, at an address of this machine.
        entry = istio(
            "ServiceEntry",
            "book-service",
            hosts=[HOST],
            resolution="STATIC",
            endpoints=[{"address": "127.0.0.1"}],
            ports=[{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": books.port}],
        )
        mesh.apply(entry)
        # Nobody has signed its certificate.
        assert (mesh.get("/api/v1/products/0").status_code, books.seen) == (502, [])
        anybody = {"mode": "SIMPLE", "sni": HOST, "insecureSkipVerify": True}
        mesh.apply(istio("DestinationRule", "book-service", host=HOST, trafficPolicy={"tls": anybody}))
        since = now_us()
        assert Browser(mesh, "jason").page().count("An Author Outside") == 1
        (seen,) = books.seen
        trace = mesh.newest(since, lambda trace: any(HOST in span.name for span in trace.spans))
    assert seen["host"] == HOST
    assert not {"end-user", "cookie", "authorization", "jwt"} & seen.keys()
    (call,) = client_spans(trace, "details.meshtrail", HOST)
    assert seen["traceparent"].split("-")[1:3] == [trace.trace_id, call.span_id]


@pytest.mark.matrix
def test_the_routes_as_gateway_api(mesh: Routing) -> None:
    """The same behaviours with HTTPRoutes, through the gateway that Istio makes for a Gateway."""
    mesh.folders("/delete", "istio/bookinfo")
    try:
        with mesh.laid_folders(API):
            mesh.refresh()
            jason, mary = Browser(mesh, "jason"), Browser(mesh, "mary")
            with mesh.laid_folders(f"{API}/by-user"):
                assert (jason.stars(), mary.stars()) == ({"black"}, set())
                # Faults are no part of it: a VirtualService of another service makes them.
                with mesh.laid_folders("istio/bookinfo/abort-jason"):
                    assert jason.stars() == set()
            with mesh.laid_folders(f"{API}/reviews-v3"):
                assert mary.stars() == {"red"}
            with mesh.laid_folders(f"{API}/weights-50-50"):
                assert {frozenset(mary.stars()) for _ in range(40)} == {frozenset(), frozenset({"red"})}
            with mesh.laid_folders(f"{API}/mirror"):
                assert_mirrored(mesh)
    finally:
        mesh.folders("/apply", "istio/bookinfo")
        mesh.refresh()


def test_the_routes_of_istio_s_own_bookinfo_apply_unchanged(mesh: Routing) -> None:
    """Files as its instructions have them: other port and API versions, subsets without pods, mutual TLS by name."""
    with mesh.laid(*istios("gateway", "destination-rules")):
        # The gateway listens where it did: its proxy binds the same port for 80 and 8080.
        assert state.load(mesh.mesh.name).gateway == mesh.mesh.gateway
        jason, mary = Browser(mesh, "jason"), Browser(mesh, "mary")
        with mesh.laid(*istios("all-v1")):
            mesh.apply(*istios("reviews-v2-for-jason"))
            assert (jason.stars(), mary.stars()) == ({"black"}, set())
            mesh.apply(*istios("ratings-abort"))
            assert "ratings" in jason.page().lower()
            assert jason.stars() == set()
            # Carried out as the delay above is.
            mesh.apply(*istios("ratings-delay"))
            mesh.apply(*istios("destination-rules-mtls", "all-v1", "details-abort"))
            assert "Sorry" in mary.page()
            assert mesh.get("/api/v1/products/0").status_code == 555
            mesh.apply(*istios("all-v1", "reviews-90-10"))
            assert {frozenset(mary.stars()) for _ in range(5)} <= {frozenset(), frozenset({"black"})}
            # A version without pods: red stars are missing, and the page says so.
            for version in ("ratings-v2", "ratings-v2-mysql"):
                mesh.apply(*istios(version))
                assert "Reviewer1" in mary.page()
                assert mary.stars() == set()


def istios(*names: str) -> list[str]:
    """Files of the folder bookinfo beside this one."""
    return [(FOLDER / f"{name}.yaml").read_text() for name in names]


@pytest.mark.soak
@pytest.mark.parametrize(("route", "share"), [("weights-50-50", 0.5), ("weights-80-20", 0.2), ("weights-90-10", 0.1)])
def test_weights_hold_over_a_thousand_requests(mesh: Routing, route: str, share: float) -> None:
    number = 1000
    with (
        mesh.laid_folders(f"istio/bookinfo/{route}"),
        httpx.Client(base_url=mesh.mesh.gateway, trust_env=False, timeout=15, verify=NO_TLS) as client,
    ):
        seen = Counter(client.get("/api/v1/products/0/reviews").json()["podname"] for _ in range(number))
    other = number - seen["reviews-v1"]
    # Binomial: outside of five standard deviations once in a million runs.
    assert abs(other - number * share) < 5 * (number * share * (1 - share)) ** 0.5
    assert set(seen) == {"reviews-v1", "reviews-v3" if route == "weights-50-50" else "reviews-v2"}
