"""The page of Bookinfo in Chromium, through the gateway of a local mesh: jason sees reviews v2, everybody else v3."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from tests.support.mesh import eventually, meshtrail, running_mesh

from meshtrail.local.state import RunningMesh

pytestmark = pytest.mark.xdist_group("browser-bookinfo")  # one browser, one mesh

ROUTES = "istio/bookinfo/by-user-v2-v3"
NEEDS_A_NAME = {"button", "link", "textbox", "image", "heading", "RootWebArea"}


@pytest.fixture(scope="module")
def mesh(chromium: Chrome) -> Iterator[RunningMesh]:
    """The browser comes first: without one there is nothing to start a mesh for."""
    with running_mesh("bookinfo", "-f", ROUTES) as running:
        yield running


def open_page(browser: Chrome, mesh: RunningMesh) -> None:
    browser.get(f"{mesh.gateway}/productpage")


def sign_in(browser: Chrome, name: str) -> None:
    field = browser.find_element(By.ID, "username")
    leads_on(browser, lambda: field.send_keys(name, Keys.ENTER))
    assert name in browser.find_element(By.TAG_NAME, "header").text


def leads_on(browser: Chrome, act: Callable[[], None]) -> None:
    """Do what sends a form, and wait until the page after it is there to its end."""
    before = browser.find_element(By.TAG_NAME, "html")
    act()

    def arrived() -> bool:
        try:
            before.is_enabled()
        except StaleElementReferenceException:
            return bool(browser.find_elements(By.TAG_NAME, "footer"))
        return False

    eventually(arrived, what="the next page")


def stars(browser: Chrome) -> list[str | None]:
    return [each.get_attribute("aria-label") for each in browser.find_elements(By.CSS_SELECTOR, "[role=img]")]


def accessible(browser: Chrome) -> list[tuple[str, str, Any]]:
    """Return (role, name, level) of what a screen reader meets, in the order of the page."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        (
            node["role"]["value"],
            node.get("name", {}).get("value", ""),
            next((one["value"]["value"] for one in node.get("properties", []) if one["name"] == "level"), None),
        )
        for node in nodes
        if not node["ignored"]
    ]


def requested(browser: Chrome) -> list[str]:
    """Return the addresses that the browser asked for since the log was last read."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def test_scripts_are_off(browser: Chrome) -> None:
    """What the other tests stand on."""
    browser.get("data:text/html,<noscript>off</noscript><script>document.write('on')</script>")
    assert browser.find_element(By.TAG_NAME, "body").text == "off"


def test_jason_sees_black_stars_others_red_ones(browser: Chrome, mesh: RunningMesh) -> None:
    open_page(browser, mesh)
    assert stars(browser) == ["5 of 5 stars, red", "4 of 5 stars, red"]
    assert "reviews v3" in browser.find_element(By.CLASS_NAME, "served").text
    sign_in(browser, "jason")
    assert stars(browser) == ["5 of 5 stars, black", "4 of 5 stars, black"]
    assert "reviews v2" in browser.find_element(By.CLASS_NAME, "served").text
    leads_on(browser, browser.find_element(By.CSS_SELECTOR, "header button").click)
    assert browser.find_elements(By.ID, "username")
    assert stars(browser)[0] == "5 of 5 stars, red"


def test_keyboard_alone(browser: Chrome, mesh: RunningMesh) -> None:
    open_page(browser, mesh)

    def tab(*, to: str) -> Any:
        for _ in range(10):
            browser.switch_to.active_element.send_keys(Keys.TAB)
            active = browser.switch_to.active_element
            if (active.get_attribute("id") or active.text) == to:
                assert active.value_of_css_property("outline-style") == "solid", "one sees where one is"
                return active
        raise AssertionError(f"{to} is out of reach")

    field = tab(to="username")
    leads_on(browser, lambda: field.send_keys("jason", Keys.ENTER))
    assert stars(browser)[0] == "5 of 5 stars, black"
    button = tab(to="Sign out")
    leads_on(browser, lambda: button.send_keys(Keys.ENTER))
    assert browser.find_elements(By.ID, "username")


def test_screen_reader(browser: Chrome, mesh: RunningMesh) -> None:
    open_page(browser, mesh)
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    met = accessible(browser)
    assert not [role for role, name, _ in met if role in NEEDS_A_NAME and not name]
    assert [(role, name) for role, name, _ in met if role in ("textbox", "button")] == [
        ("textbox", "User name"),
        ("button", "Sign in"),
    ]
    assert [name for role, name, _ in met if role == "image"] == ["5 of 5 stars, red", "4 of 5 stars, red"]
    assert [(level, name) for role, name, level in met if role == "heading"] == [
        (1, "The Comedy of Errors"),
        (2, "Book details"),
        (2, "Book reviews"),
    ]
    assert {"banner", "main"} <= {role for role, _, _ in met}


def test_stars_that_are_down_are_excused(browser: Chrome, mesh: RunningMesh) -> None:
    open_page(browser, mesh)
    sign_in(browser, "jason")
    fault = "istio/bookinfo/abort-jason"
    meshtrail("apply", "-f", fault, "--name", mesh.name)
    try:

        def excused() -> bool:
            open_page(browser, mesh)
            return len(browser.find_elements(By.CLASS_NAME, "apology")) == 2

        eventually(excused, what="the apology")
        assert not stars(browser)
        assert "Sorry, the stars cannot be shown" in browser.find_element(By.CLASS_NAME, "apology").text
        assert "William Shakespeare" in browser.find_element(By.CLASS_NAME, "facts").text
    finally:
        meshtrail("delete", "-f", fault, "--name", mesh.name)


def test_no_request_leaves_the_machine(browser: Chrome, mesh: RunningMesh) -> None:
    open_page(browser, mesh)
    sign_in(browser, "jason")
    asked = requested(browser)
    assert {f"{mesh.gateway}/productpage", f"{mesh.gateway}/login"} <= set(asked)
    assert not [url for url in asked if not url.startswith(f"{mesh.gateway}/")]


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_has_to_be_scrolled_sideways(browser: Chrome, mesh: RunningMesh, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    open_page(browser, mesh)
    html = browser.find_element(By.TAG_NAME, "html")
    assert int(str(html.get_property("scrollWidth"))) <= width
    # Type for the back of the room.
    assert float(browser.find_element(By.TAG_NAME, "body").value_of_css_property("font-size")[:-2]) >= 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Chrome, mesh: RunningMesh, scheme: str) -> None:
    """WCAG's 7:1 for text, its 4.5:1 for what is small and secondary, and 3:1 for stars on what is behind them."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    open_page(browser, mesh)

    def color(selector: str, which: str) -> list[float]:
        value = browser.find_element(By.CSS_SELECTOR, selector).value_of_css_property(which)
        return [float(number) for number in re.findall(r"[\d.]+", value)[:3]]

    def luminance(rgb: list[float]) -> float:
        parts = [one / 255 / 12.92 if one / 255 <= 0.04045 else ((one / 255 + 0.055) / 1.055) ** 2.4 for one in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    def contrast(one: list[float], other: list[float]) -> float:
        dark, light = sorted((luminance(one), luminance(other)))
        return (light + 0.05) / (dark + 0.05)

    ground = color("body", "background-color")
    assert (luminance(ground) < 0.2) is (scheme == "dark")
    assert contrast(color("body", "color"), ground) >= 7
    assert contrast(color("footer", "color"), ground) >= 4.5
    assert contrast(color(".served", "color"), color("section", "background-color")) >= 4.5
    assert contrast(color("button", "color"), color("button", "background-color")) >= 4.5
    assert contrast(color(".stars svg", "fill"), color(".stars", "background-color")) >= 3
