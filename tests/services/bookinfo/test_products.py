"""Product ids, health and methods: the same rules in details, reviews and ratings."""

from __future__ import annotations

from tests.services.conftest import Setup
from tests.services.harness import wait_for

# details and ratings say that the request is wrong; to reviews such a product does not exist, as to the original.
STATUS = {"details": 400, "ratings": 400, "reviews": 404}
LARGEST = 2**53 - 1


NUMBERS = (0, 7, -5, LARGEST, -LARGEST)
OTHERS = ("abc", "null", "1.5", "1e3", "0x10", "1_000", "%2B1", "--1", "%201", "%00", "%D9%A3", "%5B%5D")
TOO_LARGE = (str(LARGEST + 1), str(10**30), "9" * 5000)


def test_whole_numbers_are_products(book_service: Setup) -> None:
    service = book_service.implementation.service
    for number in NUMBERS:
        answer = book_service.process.get(f"/{service}/{number}?a=1")
        assert answer.status_code == 200
        assert answer.json()["id"] == (str(number) if service == "reviews" else number)


def test_anything_else_is_none(book_service: Setup) -> None:
    service = book_service.implementation.service
    for text in OTHERS + TOO_LARGE:
        answer = book_service.process.get(f"/{service}/{text}")
        refusal = (STATUS[service], {"error": "the product id has to be a whole number"})
        assert (answer.status_code, answer.json()) == refusal, text
    assert book_service.upstream.seen == [], "nobody is asked about them"


def test_other_paths_are_not_found(book_service: Setup) -> None:
    for path in ("/{}", "/{}/", "/{}/0/", "/{}/0/x", "/{}//0", "/health/"):
        answer = book_service.process.get(path.format(book_service.implementation.service))
        assert (answer.status_code, answer.json()) == (404, {"error": "not found"}), path
        assert answer.headers["content-type"] == "application/json"


def test_health_is_said_as_the_originals_do(book_service: Setup) -> None:
    service = book_service.implementation.service
    answer = book_service.process.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": f"{service.capitalize()} is healthy"})
    book_service.process.get(headers={"x-request-id": "behind-health"})
    wait_for(lambda: "behind-health" in "".join(book_service.process.lines[-5:]), "the line of the request behind it")
    assert not [entry for entry in book_service.process.logs() if entry.get("path") == "/health"]


def test_head_is_a_get_without_its_body(book_service: Setup) -> None:
    answer = book_service.process.client.head(book_service.implementation.path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_unknown_method_is_json_405(book_service: Setup) -> None:
    answer = book_service.process.client.request("BREW", book_service.implementation.path)
    assert (answer.status_code, answer.json()) == (405, {"error": "method not allowed"})


def test_body_above_64_kb_is_413(book_service: Setup) -> None:
    answer = book_service.process.client.post(book_service.implementation.path, content=b" " * (64 * 1024 + 1))
    assert (answer.status_code, answer.json()) == (413, {"error": "request entity too large"})
    assert "server" not in answer.headers
