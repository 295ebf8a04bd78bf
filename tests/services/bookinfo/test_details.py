"""details: the book that it knows, and the one that a service outside the mesh describes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.services.bookinfo.conftest import DETAILS
from tests.services.harness import Process, Upstream

from details.books import BOOK_SERVICE, book_service_url, read_volume
from meshtrail_common.errors import ServiceError

TYPES = {
    "id": int,
    "author": str,
    "year": int,
    "type": str,
    "pages": int,
    "publisher": str,
    "language": str,
    "ISBN-10": str,
    "ISBN-13": str,
}


def test_asks_nobody_by_default() -> None:
    with Upstream({}) as upstream:
        environment = DETAILS.upstream_at(upstream.url) | {"ENABLE_EXTERNAL_BOOK_SERVICE": ""}
        with Process(DETAILS, "plain", **environment) as process:
            content = process.get("/details/5").json()
        assert upstream.seen == []
    assert {name: type(value) for name, value in content.items()} == TYPES
    assert (content["id"], content["year"], content["pages"]) == (5, 1595, 200)


def test_does_not_encrypt_when_something_on_the_way_does() -> None:
    assert book_service_url(BOOK_SERVICE, unencrypted=False) == "https://www.googleapis.com"
    assert book_service_url(BOOK_SERVICE, unencrypted=True) == "http://www.googleapis.com"
    assert book_service_url("https://books.example:8443/api", unencrypted=True) == "http://books.example:8443/api"


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"authors": [], "publishedDate": "", "industryIdentifiers": None},
        {"authors": "A", "publishedDate": 1990, "pageCount": "many", "industryIdentifiers": [1, None, {}]},
        {"authors": [None], "publishedDate": "MMXX", "pageCount": True, "industryIdentifiers": {"type": "ISBN_10"}},
    ],
)
def test_what_the_book_service_does_not_tell_is_unknown(info: dict[str, Any]) -> None:
    answer = read_volume("books", {"items": [{"volumeInfo": info}]}).answer(1)
    assert (answer["author"], answer["publisher"], answer["ISBN-10"], answer["ISBN-13"]) == ("unknown",) * 4
    assert (answer["year"], answer["pages"], answer["type"], answer["language"]) == (None, None, "unknown", "unknown")


@pytest.mark.parametrize("content", [None, [], {}, {"items": []}, {"items": [1]}, {"items": [{"volumeInfo": "x"}]}])
def test_answer_without_a_book_is_502(content: Any) -> None:
    with pytest.raises(ServiceError, match="upstream books failed: the answer holds no book") as caught:
        read_volume("books", content)
    assert caught.value.status == 502
