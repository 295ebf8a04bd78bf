"""What the page shows, taken out of what the other services said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MOST_STARS = 5

_VERSION = re.compile(r"-(v\d+)(?:-|$)")
_COLOR = re.compile("[A-Za-z]{1,20}")
_TRACE = re.compile("[0-9a-f]{32}|[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Product:
    """A book, as /api/v1/products lists it."""

    id: int
    title: str
    description_html: str


PRODUCTS = (
    Product(
        0,
        "The Comedy of Errors",
        "An early comedy by <em>William Shakespeare</em>: two pairs of twins with the same names, parted as children, "
        "come to the same town on the same day. Nobody there knows whom they have before them, and every message goes "
        "to the wrong twin.",
    ),
)


@dataclass(frozen=True, slots=True)
class Stars:
    """A rating: `count` of MOST_STARS, in a color that CSS and SVG know."""

    count: int
    color: str

    @property
    def text(self) -> str:
        return f"{self.count} of {MOST_STARS} stars, {self.color}"


@dataclass(frozen=True, slots=True)
class Review:
    reviewer: str
    text: str
    stars: Stars | None = None
    rating_error: str = ""


@dataclass(frozen=True, slots=True)
class Reviews:
    reviews: tuple[Review, ...]
    pod: str
    version: str
    cluster: str


def details_of(content: Any) -> dict[str, str] | None:
    """Return the rows of the details table by their labels; None when that is not what `content` holds."""
    if not isinstance(content, dict):
        return None
    labels = {"year": "Year", "type": "Type", "pages": "Pages", "publisher": "Publisher", "language": "Language"}
    rows = {"Author": content.get("author")}
    rows |= {label: content.get(key) for key, label in labels.items()}
    rows |= {key: content.get(key) for key in ("ISBN-10", "ISBN-13")}
    return {label: str(value) for label, value in rows.items() if isinstance(value, str | int)} or None


def reviews_of(content: Any) -> Reviews | None:
    """Return the reviews; None when that is not what `content` holds."""
    reviews = content.get("reviews") if isinstance(content, dict) else None
    if not isinstance(reviews, list):
        return None
    pod = _text(content, "podname")
    # The original says null where no cluster is named.
    cluster = _text(content, "clustername")
    found = _VERSION.search(pod)
    return Reviews(
        tuple(_review(review) for review in reviews if isinstance(review, dict)),
        pod,
        found[1] if found else "",
        "" if cluster == "null" else cluster,
    )


def _review(review: dict[str, Any]) -> Review:
    rating = review.get("rating")
    stars, error = None, ""
    if isinstance(rating, dict):
        count, color = rating.get("stars"), rating.get("color")
        if isinstance(count, int):
            known = isinstance(color, str) and _COLOR.fullmatch(color)
            stars = Stars(min(max(count, 0), MOST_STARS), str(color) if known else "black")
        else:
            error = _text(rating, "error") or "the rating makes no sense"
    return Review(_text(review, "reviewer"), _text(review, "text"), stars, error)


def _text(content: dict[str, Any], key: str) -> str:
    value = content.get(key)
    return value if isinstance(value, str) else ""


def trace_of(headers: Iterable[tuple[str, str]]) -> str:
    """Return the id of the trace that a request belongs to, by its headers; empty when they name none."""
    found = {name.lower(): value for name, value in headers}
    w3c, b3 = found.get("traceparent", "")[3:35], found.get("b3", "").partition("-")[0]
    return next((value for value in (w3c, found.get("x-b3-traceid", ""), b3) if _TRACE.fullmatch(value)), "")
