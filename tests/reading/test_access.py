from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.model.recorded import recorded
from tests.reading.certificates import Certificates, make
from tests.reading.jaeger_server import jaeger_server

from meshtrail.errors import MeshtrailError
from meshtrail.reading.access import Access
from meshtrail.reading.jaeger import JaegerClient, JaegerError

SECRET = "s3cr3t-w0rd"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("login", "access"),
    [
        (basic("ada", SECRET), {"user": f"ada:{SECRET}"}),
        (basic("ada", "a:b"), {"user": "ada:a:b"}),
        (basic("ada", ""), {"user": "ada"}),
        (f"Bearer {SECRET}", {"token": SECRET}),
        ("Scheme x", {"headers": ["Authorization: Scheme x"]}),
    ],
)
def test_who_asks(login: str, access: dict[str, str]) -> None:
    (trace,) = recorded("otlp-all")
    with jaeger_server(trace, login=login) as server:
        with JaegerClient(Access.of(server.url, **access)) as client:  # type: ignore[arg-type]
            assert client.trace(trace.trace_id) is not None
        with JaegerClient(server.url) as client, pytest.raises(JaegerError, match="answered 401") as caught:
            client.services()
        assert "--token" in caught.value.mend


def test_a_user_in_the_address_is_understood_and_not_shown() -> None:
    with jaeger_server(login=basic("ada", "p@ss")) as server:
        url = server.url.replace("http://", "http://ada:p%40ss@")
        with JaegerClient(url) as client:
            assert client.services() == ()
            assert client.url == server.url
        with (
            JaegerClient(server.url.replace("http://", f"http://ada:{SECRET}@")) as client,
            pytest.raises(JaegerError) as caught,
        ):
            client.services()
    assert "ada" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "not accepted" in caught.value.mend


@pytest.mark.parametrize("url", [f"http://ada:{SECRET}@[::1", f"ftp://ada:{SECRET}@host", f"ada:{SECRET}@host"])
def test_an_address_that_is_none_does_not_show_its_user(url: str) -> None:
    with pytest.raises(MeshtrailError) as caught:
        Access.of(url)
    assert SECRET not in str(caught.value)


def test_secrets_are_not_in_what_python_shows_nor_in_what_a_server_repeats() -> None:
    access = Access.of("http://127.0.0.1:1", user=f"ada:{SECRET}", headers=["X-Key: other-secret"])
    assert SECRET not in repr(access)
    assert "other-secret" not in repr(access)
    encoded = basic("ada", SECRET).removeprefix("Basic ")
    assert access.hidden(f"you said {SECRET}, {encoded}, other-secret") == "you said ***, ***, ***"
    body = f'{{"errors": [{{"code": 403, "msg": "token {SECRET} may not"}}]}}'.encode()
    with (
        jaeger_server(answer=(403, "application/json", body)) as server,
        JaegerClient(Access.of(server.url, token=SECRET)) as client,
        pytest.raises(JaegerError) as caught,
    ):
        client.services()
    assert SECRET not in str(caught.value)
    assert "may not" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"user": "ada", "token": "t"}, "both"),
        ({"headers": ["no colon"]}, "Name: value"),
        ({"headers": [": value"]}, "Name: value"),
        ({"headers": ["A b: value"]}, "not a header's name"),
        ({"token": "two\nlines"}, "line end"),
        ({"token": "café"}, "characters"),
        ({"key_file": Path("k")}, "without its certificate"),
        ({"insecure": True}, "plain http"),
        ({"ca_file": Path("ca.pem")}, "plain http"),
    ],
)
def test_what_cannot_be(options: dict[str, object], text: str) -> None:
    with pytest.raises(MeshtrailError, match=text) as caught:
        Access.of("http://127.0.0.1:16686", **options)  # type: ignore[arg-type]
    assert caught.value.mend


def test_what_is_sent_in_the_clear_is_said() -> None:
    assert Access.of("http://jaeger.example", token=SECRET).warnings
    assert SECRET not in str(Access.of("http://jaeger.example", token=SECRET).warnings)
    assert not Access.of("http://127.0.0.1", token=SECRET).warnings
    assert not Access.of("https://jaeger.example", token=SECRET).warnings
    assert "--insecure" in Access.of("https://jaeger.example", insecure=True).warnings[0]


def test_tls_with_an_authority_of_ones_own(certificates: Certificates) -> None:
    with jaeger_server(context=certificates.context()) as server:
        with JaegerClient(Access.of(server.url, ca_file=certificates.ca)) as client:
            assert client.services() == ()
        with JaegerClient(Access.of(server.url, insecure=True)) as client:
            assert client.services() == ()
        with JaegerClient(server.url) as client, pytest.raises(JaegerError, match="is not trusted") as caught:
            client.services()
        assert "--ca-file" in caught.value.mend


def test_a_client_certificate(certificates: Certificates) -> None:
    with jaeger_server(context=certificates.context(client_needed=True)) as server:
        access = Access.of(
            server.url, ca_file=certificates.ca, cert_file=certificates.client, key_file=certificates.client_key
        )
        with JaegerClient(access) as client:
            assert client.services() == ()
        with (
            JaegerClient(Access.of(server.url, ca_file=certificates.ca)) as client,
            pytest.raises(JaegerError) as caught,
        ):
            client.services()
        assert "--cert" in caught.value.mend


@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_a_file_without_certificates(tmp_path: Path, option: str, content: str | None) -> None:
    file = tmp_path / "some.pem"
    if content is not None:
        file.write_text(content)
    access = Access.of("https://127.0.0.1:1", **{option: file})  # type: ignore[arg-type]
    with pytest.raises(MeshtrailError, match=r"some\.pem") as caught:
        JaegerClient(access)
    assert "PEM" in caught.value.mend


def test_http_where_tls_is_spoken_and_the_other_way_round(certificates: Certificates) -> None:
    with jaeger_server() as server, JaegerClient(server.url.replace("http:", "https:")) as client:
        with pytest.raises(JaegerError, match="no TLS") as caught:
            client.services()
        assert "http://" in caught.value.mend
