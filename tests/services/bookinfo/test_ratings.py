"""ratings in memory: what can be posted, and the faults of its versions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from flask.testing import FlaskClient
from tests.services.conftest import Setup

from meshtrail_common.settings import load
from ratings.app import Settings, create_app
from ratings.faults import Faults
from ratings.store import DEFAULT, KEPT_PRODUCTS, MemoryStore


def test_posted_ratings_are_kept(ratings: Setup) -> None:
    client = ratings.process.client
    posted = {"Reviewer1": 1, "Reviewer2": 2, "Somebody \u2665 \ud800": 3}
    answer = client.post("/ratings/41", content=json.dumps(posted).encode())
    assert (answer.status_code, answer.json()) == (200, {"id": 41, "ratings": posted})
    assert ratings.process.get("/ratings/41").json() == answer.json()
    client.post("/ratings/41", content=b"{}")
    assert ratings.process.get("/ratings/41").json() == {"id": 41, "ratings": {}}
    ratings.implementation.check(ratings.process.get())  # another product


BAD = (b"", b"{", b"null", b"5", b'"x"', b"[1]", b"\xff", '{"a": 1}'.encode("utf-16"), b'{"a": 1} {}')
NOT_JSON_NUMBERS = (b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": %b}' % (b"9" * 5000))


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
def test_bad_json_is_400(ratings: Setup, content_type: str) -> None:
    for body in (*BAD, *NOT_JSON_NUMBERS, b'{"a":' * 10_000):
        answer = ratings.process.client.post("/ratings/43", content=body, headers={"content-type": content_type})
        refusal = (400, {"error": "the body has to be a JSON object of ratings"})
        assert (answer.status_code, answer.json()) == refusal, body[:20]
    assert ratings.process.get("/ratings/43").json()["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}


def test_deep_json_is_taken_or_refused_but_never_harms(ratings: Setup) -> None:
    """Where Python's limit lies depends on its version; what was taken has to be answered from then on."""
    for depth in (500, *range(900, 1000, 5), 9_000):
        body = b'{"a":' * depth + b"1" + b"}" * depth
        status = ratings.process.client.post(f"/ratings/{depth}", content=body).status_code
        assert status in (200, 400)
        answer = ratings.process.get(f"/ratings/{depth}")
        assert answer.status_code == 200
        assert answer.content.count(b"{") == (depth + 1 if status == 200 else 2)


def test_what_is_posted_does_not_fill_the_memory() -> None:
    store = MemoryStore()
    for product in range(KEPT_PRODUCTS + 1):
        store.put(product, b'{"Reviewer1": 1}')
    assert store.get(0) == DEFAULT, "the first one made room"
    assert store.get(1) == store.get(KEPT_PRODUCTS) == '{"Reviewer1":1}'


@dataclass
class Chance:
    """Time and chance as a test wants them."""

    now: float = 0.0
    heads: bool = False
    slept: list[float] = field(default_factory=list)

    def client(self, version: str) -> FlaskClient:
        faults = Faults(version, toss=lambda: self.heads, clock=lambda: self.now, sleep=self.slept.append)
        return create_app(load(Settings, {"SERVICE_VERSION": version}), faults=faults).test_client()


def test_v_faulty_fails_by_the_toss_of_a_coin() -> None:
    chance = Chance()
    client = chance.client("v-faulty")
    assert client.get("/ratings/0").status_code == 200
    chance.heads = True
    answer = client.get("/ratings/0")
    assert (answer.status_code, answer.get_json()) == (503, {"error": "service unavailable"})
    assert client.get("/ratings/x").status_code == 400
    assert client.get("/health").status_code == client.get("/readyz").status_code == 200


def test_the_coin_is_fair() -> None:
    toss = Faults("v-faulty").toss
    heads = sum(toss() for _ in range(10_000))
    assert 4500 < heads < 5500, "ten standard deviations"


def test_v_delayed_waits_by_the_toss_of_a_coin() -> None:
    chance = Chance()
    client = chance.client("v-delayed")
    client.get("/ratings/0")
    assert chance.slept == []
    chance.heads = True
    assert client.get("/ratings/0").get_json()["ratings"] == {"Reviewer1": 5, "Reviewer2": 4}
    assert client.get("/health").status_code == 200
    assert chance.slept == [7.0]


@pytest.mark.parametrize(("version", "period"), [("v-unavailable", 60), ("v-unhealthy", 900)])
def test_version_that_comes_and_goes(version: str, period: float) -> None:
    chance = Chance()
    client = chance.client(version)
    seen = []
    for periods in (0, 0.99, 1, 1.99, 2, 3.5):
        chance.now = periods * period
        seen.append(client.get("/ratings/0").status_code)
        healthy = client.get("/health")
        assert client.get("/healthz").status_code == 200
        if version == "v-unhealthy" and seen[-1] == 503:
            assert (healthy.status_code, healthy.get_json()) == (500, {"status": "Ratings is not healthy"})
        else:
            assert healthy.status_code == 200
    assert seen == [200, 200, 503, 503, 200, 503]


@pytest.mark.parametrize("version", ["v-faulty", "v-unavailable", "v-unhealthy", "v-delayed"])
def test_versions_with_a_fault_take_ratings_as_v1_does(version: str) -> None:
    chance = Chance(now=1000, heads=True)
    client = chance.client(version)
    assert client.post("/ratings/0", data=b'{"Reviewer1": 2}').get_json() == {"id": 0, "ratings": {"Reviewer1": 2}}
