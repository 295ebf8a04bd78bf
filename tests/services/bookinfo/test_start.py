"""A wrong environment of Bookinfo's services: one line that names the variable and what is allowed."""

from __future__ import annotations

import pytest
from tests.services.harness import implementation, run_to_end

import details.app
import productpage.settings
import ratings.app
import reviews.app
from meshtrail_common.settings import CommonSettings, StartError, load

WRONG: list[tuple[type[CommonSettings], str, str, str]] = [
    (ratings.app.Settings, "SERVICE_VERSION", "v3", "v1, v2, v-faulty, v-delayed, v-unavailable, v-unhealthy"),
    (ratings.app.Settings, "DB_TYPE", "mysql", "expected one of postgresql"),
    (ratings.app.Settings, "DATABASE_URL", "mysql://u:hunter2@h/db", "(hidden) is not allowed"),
    (reviews.app.Settings, "ENABLE_RATINGS", "yes", "true, false"),
    (reviews.app.Settings, "STAR_COLOR", "red; background: url(x)", "letters"),
    (reviews.app.Settings, "RATINGS_HOSTNAME", "ratings:9080/x", "a host name"),
    (reviews.app.Settings, "RATINGS_SERVICE_PORT", "0", "a number from 1 to 65535"),
    (reviews.app.Settings, "SERVICES_DOMAIN", "a..b", "a host name"),
    (
        productpage.settings.Settings,
        "SESSION_SECRET",
        "hunter2",
        "(hidden) is not allowed, expected at least 16 characters",
    ),
    (productpage.settings.Settings, "REVIEWS_HOSTNAME", "http://reviews", "a host name"),
    (productpage.settings.Settings, "FLOOD_FACTOR", "-1", "a number from 0 to 100"),
    (details.app.Settings, "ENABLE_EXTERNAL_BOOK_SERVICE", "on", "true, false"),
    (details.app.Settings, "BOOK_SERVICE_URL", "books.example", "a URL such as http://name:8080"),
]


@pytest.mark.parametrize(("settings", "name", "value", "text"), WRONG, ids=[name for _, name, _, _ in WRONG])
def test_wrong_value_is_named(settings: type[CommonSettings], name: str, value: str, text: str) -> None:
    with pytest.raises(StartError) as caught:
        load(settings, {name: value})
    assert str(caught.value).startswith(f"{name}=")
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_v2_without_its_database_is_one_line_and_status_2() -> None:
    done = run_to_end(implementation("ratings"), "plain", SERVICE_VERSION="v2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "ratings: SERVICE_VERSION=v2 needs DATABASE_URL, expected postgresql://USER:PASSWORD@HOST:PORT/NAME"
    ]
