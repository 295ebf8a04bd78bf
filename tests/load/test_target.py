from __future__ import annotations

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.load.target import resolve


@pytest.mark.parametrize(
    ("url", "path", "whole"),
    [
        ("http://127.0.0.1:8080", None, "http://127.0.0.1:8080/"),
        ("http://127.0.0.1:8080/a?b=c", None, "http://127.0.0.1:8080/a?b=c"),
        ("http://127.0.0.1:8080/a", "/z", "http://127.0.0.1:8080/z"),
        ("http://localhost", "/", "http://localhost/"),
    ],
)
def test_a_target_on_this_machine(url: str, path: str | None, whole: str) -> None:
    target = resolve(url, path=path)
    assert target.url == whole
    assert target.address in ("127.0.0.1", "::1")


@pytest.mark.parametrize("url", ["http://10.1.2.3", "http://[2001:db8::1]:80/", "http://0.0.0.0:8080"])
def test_another_machine_is_refused_unless_allowed(url: str) -> None:
    with pytest.raises(MeshtrailError, match="--allow-remote"):
        resolve(url)
    assert resolve(url, allow_remote=True).address


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://a@127.0.0.1",
    ],
)
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(MeshtrailError, match="not an"):
        resolve(url)


@pytest.mark.parametrize("path", ["nowhere", "/a b", "/a\r\nx: y", "/ä"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(MeshtrailError, match="not a request path"):
        resolve("http://127.0.0.1:1", path=path)
