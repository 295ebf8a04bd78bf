"""The book: the one that is known here, or what a book service outside the mesh knows of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from meshtrail_common.calls import Upstream
from meshtrail_common.errors import ServiceError

# Google Books, which needs no key for this. https://developers.google.com/books/docs/v1/using
BOOK_SERVICE = "https://www.googleapis.com"
_QUERY = "/books/v1/volumes?q=isbn:0486424618"  # an edition of The Comedy of Errors


@dataclass(frozen=True, slots=True)
class Book:
    author: str
    year: int | None
    type: str
    pages: int | None
    publisher: str
    language: str
    isbn_10: str
    isbn_13: str

    def answer(self, product: int) -> dict[str, Any]:
        return {
            "id": product,
            "author": self.author,
            "year": self.year,
            "type": self.type,
            "pages": self.pages,
            "publisher": self.publisher,
            "language": self.language,
            "ISBN-10": self.isbn_10,
            "ISBN-13": self.isbn_13,
        }


BOOK = Book(
    author="William Shakespeare",
    year=1595,
    type="paperback",
    pages=200,
    publisher="PublisherA",
    language="English",
    isbn_10="1234567890",
    isbn_13="123-1234567890",
)


def book_service_url(url: str, unencrypted: bool) -> str:
    """Return the URL of the book service, with http for https when something on the way does the TLS."""
    parts = urlsplit(url)
    return parts._replace(scheme="http").geturl() if unencrypted else url


def ask_book_service(books: Upstream, headers: Iterable[tuple[bytes, bytes]]) -> Book:
    """Return the book as the service outside describes it; ServiceError 502 or 504 when it does not."""
    answer = books.get(_QUERY, headers)
    if answer.status != 200:
        raise ServiceError(502, f"upstream {books.name} failed: answered {answer.status}")
    return read_volume(books.name, answer.json())


def read_volume(upstream: str, content: Any) -> Book:
    """Return the first book of an answer; what it does not tell is "unknown", or null where a number belongs."""
    volume = _first(_get(content, "items"), {})
    info = _get(volume, "volumeInfo")
    if not isinstance(info, dict):
        raise ServiceError(502, f"upstream {upstream} failed: the answer holds no book")
    identifiers = info.get("industryIdentifiers")
    numbers = {
        str(_get(one, "type")): _text(_get(one, "identifier"))
        for one in (identifiers if isinstance(identifiers, list) else ())
    }
    year = _text(info.get("publishedDate"))[:4]
    return Book(
        author=_text(_first(info.get("authors"), None)),
        year=int(year) if year.isascii() and year.isdigit() else None,
        type="paperback" if info.get("printType") == "BOOK" else "unknown",
        pages=_number(info.get("pageCount")),
        publisher=_text(info.get("publisher")),
        language="English" if info.get("language") == "en" else "unknown",
        isbn_10=numbers.get("ISBN_10", "unknown"),
        isbn_13=numbers.get("ISBN_13", "unknown"),
    )


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _first(value: Any, default: Any) -> Any:
    return value[0] if isinstance(value, list) and value else default


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else "unknown"


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
