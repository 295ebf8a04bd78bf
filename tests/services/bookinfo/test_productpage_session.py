"""productpage: signing in and out, the cookie, and what of it the other services see."""

from __future__ import annotations

import httpx
import pytest
from flask.testing import FlaskClient
from tests.services.bookinfo.shop import page
from tests.services.conftest import Setup
from tests.services.harness import wait_for

from meshtrail_common.forwarding import Forwarder
from meshtrail_common.propagation import Switch
from meshtrail_common.settings import load
from productpage.app import create_app
from productpage.settings import Settings

SECRET = "0123456789abcdef"


def sign_in(setup: Setup, username: str, **headers: str) -> httpx.Response:
    return setup.process.client.post("/login", data={"username": username, "passwd": "hunter2"}, headers=headers)


def test_who_signs_in_is_end_user_from_then_on(shop: Setup) -> None:
    answer = sign_in(shop, "jason")
    assert (answer.status_code, answer.headers["location"]) == (302, "/productpage")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    html = page(shop)
    assert "Signed in as <strong>jason</strong>" in html
    assert [seen["end-user"] for seen in shop.upstream.seen] == ["jason"] * 2
    assert shop.process.client.post("/logout").headers["location"] == "/productpage"
    shop.upstream.seen.clear()
    assert "Signed in" not in page(shop)
    assert not [seen for seen in shop.upstream.seen if "end-user" in seen]
    sign_in(shop, "jason")
    assert shop.process.client.get("/logout").status_code == 302, "a link, as in the original"
    assert "Signed in" not in page(shop)


def test_nobody_is_who_the_client_says(shop: Setup) -> None:
    page(shop, **{"end-user": "jason"})
    assert not [seen for seen in shop.upstream.seen if "end-user" in seen]
    sign_in(shop, "jane")
    shop.upstream.seen.clear()
    page(shop, **{"end-user": "jason"})
    assert {seen["end-user"] for seen in shop.upstream.seen} == {"jane"}


def test_session_cookie_stays_here_and_others_go_on(shop: Setup) -> None:
    sign_in(shop, "jason")
    session = shop.process.client.cookies["session"]
    shop.process.client.cookies.clear()
    for cookies, expected in (
        (f"canary=yes; session={session}; last=1", "canary=yes; last=1"),
        (f"session={session}", None),
        ("xsession=2", "xsession=2"),
    ):
        shop.upstream.seen.clear()
        page(shop, cookie=cookies)
        assert [seen.get("cookie") for seen in shop.upstream.seen] == [expected] * 2


@pytest.mark.parametrize(
    ("referrer", "location"),
    [
        ("http://elsewhere.example/productpage?u=1", "/productpage?u=1"),
        ("http://x/index.html", "/index.html"),
        ("http://x//elsewhere.example/", "/productpage"),
        ("http://x/\\elsewhere.example", "/productpage"),
        ("http://x/\t/elsewhere.example", "/productpage"),
        ("javascript:alert(1)", "/productpage"),
        ("//elsewhere.example/a", "/a"),
        ("http://[", "/productpage"),
        ("http://x/login", "/productpage"),
        ("http://x/\u00e9", "/productpage"),
        ("", "/productpage"),
    ],
)
def test_redirect_stays_on_this_site(shop: Setup, referrer: str, location: str) -> None:
    headers = [(b"referer", referrer.encode("latin-1"))]
    for path in ("/login", "/logout"):
        answer = shop.process.client.post(path, data={"username": "a"}, headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (302, location)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "J\u00fcrgen", "\u30e6\u30fc\u30b6\u30fc", "a" * 62])
def test_any_printable_name_will_do(shop: Setup, name: str) -> None:
    sign_in(shop, f" {name} ")
    html = page(shop)
    assert name.replace("<", "&lt;").replace(">", "&gt;") in html
    assert "<script" not in html
    assert {seen["end-user"].encode("latin-1").decode() for seen in shop.upstream.seen} == {name}


@pytest.mark.parametrize("name", ["", "  ", "a" * 65, "a\r\nx-evil: 1", "a\0", "a\x7f"])
def test_what_is_no_name_signs_nobody_in(shop: Setup, name: str) -> None:
    answer = sign_in(shop, name)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert "Signed in" not in page(shop)


@pytest.mark.parametrize("cookie", ["session=x", "session=eyJ1c2VyIjoiamFzb24ifQ.aaaaaa.bbbb", "session=", "\u00e9=1"])
def test_forged_cookie_is_nobody(shop: Setup, cookie: str) -> None:
    answer = shop.process.client.get("/productpage", headers=[(b"cookie", cookie.encode("latin-1"))])
    assert answer.status_code == 200
    assert "Signed in" not in answer.text


def test_password_is_never_logged(shop: Setup) -> None:
    sign_in(shop, "jason", **{"x-request-id": "of-the-sign-in"})
    wait_for(lambda: [one for one in shop.process.logs() if one.get("request_id") == "of-the-sign-in"], "the line")
    assert "hunter2" not in "".join(shop.process.lines)


def test_get_does_not_sign_in(shop: Setup) -> None:
    assert shop.process.get("/login?username=jason").status_code == 405


def test_replicas_share_a_session_by_their_secret() -> None:
    def replica(secret: str) -> FlaskClient:
        return create_app(load(Settings, {"SESSION_SECRET": secret}), Forwarder(Switch())).test_client()

    first = replica(SECRET)
    first.post("/login", data={"username": "jason"})
    cookie = first.get_cookie("session")
    assert cookie
    for other, knows in ((replica(SECRET), True), (replica(""), False)):
        other.set_cookie("session", cookie.value)
        assert ("jason" in other.get("/").text) is knows
