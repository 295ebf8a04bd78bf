"""The other applications on a real Docker: bookinfo and helloworld, one complete trace each, in both forms."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.compose.project import Project, project
from tests.e2e.shapes import trace_of
from tests.support.mesh import eventually

from meshtrail.model.trace import Trace

pytestmark = pytest.mark.compose

GATEWAY = "istio-ingressgateway"
PAGE = ("productpage", "details", "reviews", "ratings")


@pytest.fixture(scope="module")
def bookinfo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("bookinfo"), "bookinfo") as made:
        yield made


@pytest.fixture(scope="module")
def helloworld(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("helloworld"), "helloworld") as made:
        yield made


def asked(mesh: Project, path: str, done: Callable[[Trace], bool]) -> tuple[str, Trace]:
    """The answer to one request and its trace, once `done` holds of it."""
    mark = f"meshtrail-test/{secrets.token_hex(8)}"
    answer = httpx.get(mesh.gateway + path, headers={"user-agent": mark}, trust_env=False, timeout=15)
    assert answer.status_code == 200, answer.text
    return answer.text, trace_of(mesh.jaeger, mark, done)


def services(trace: Trace, *, by_proxy: bool) -> set[str]:
    """Who made spans; without the namespace behind the names of proxies."""
    return {span.service.partition(".")[0] for span in trace.spans if span.by_proxy == by_proxy}


def page(mesh: Project) -> Trace:
    """The complete trace of one request for the page that got as far as ratings: v2 or v3 of reviews answered."""

    def whole(trace: Trace) -> bool:
        return trace.complete and len([span for span in trace.spans if span.by_proxy]) == 9

    def deep() -> Trace | None:
        mark = f"meshtrail-test/{secrets.token_hex(8)}"
        answer = httpx.get(mesh.gateway + "/productpage", headers={"user-agent": mark}, trust_env=False, timeout=15)
        # v1 shows no stars, and asks nobody for them.
        if not re.search(r"stars, (black|red)", answer.text):
            return None
        try:
            return trace_of(mesh.jaeger, mark, whole, deadline_s=5)
        except AssertionError:
            # On a busy machine reviews may take more than 3 s at first: the second try is in the trace too. Ask again.
            return None

    found = eventually(deep, within=30, what="reviews with stars")
    assert found is not None
    assert services(found, by_proxy=True) == {GATEWAY, *PAGE}
    return found


def test_bookinfo_in_both_forms(bookinfo: Project) -> None:
    bookinfo.up()
    assert len(page(bookinfo).spans) == 9
    bookinfo.switch("reviews-v2", "none")
    bookinfo.switch("reviews-v3", "none")
    text, trace = asked(bookinfo, "/productpage", lambda trace: len(trace.spans) == 7)
    assert services(trace, by_proxy=True) == {GATEWAY, "productpage", "details", "reviews"}, text

    bookinfo.up(FORM="otel")
    trace = page(bookinfo)
    assert services(trace, by_proxy=False) == set(PAGE)


@pytest.mark.parametrize("language", ["python", "go"])
@pytest.mark.parametrize(("form", "spans"), [("plain", 3), ("otel", 4)])
def test_helloworld_is_gateway_sidecar_and_application(
    form: str, spans: int, language: str, helloworld: Project
) -> None:
    helloworld.up(FORM=form, HELLOWORLD_LANG=language)
    text, trace = asked(helloworld, "/", lambda trace: trace.complete and len(trace.spans) == spans)
    assert text.startswith("hello world, I'm running on linux with an ")
    assert services(trace, by_proxy=True) == {GATEWAY, "helloworld"}
    assert services(trace, by_proxy=False) == ({"helloworld"} if form == "otel" else set())
