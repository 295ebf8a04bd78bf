"""What the demo says to try next fits the application."""

from __future__ import annotations

import pytest

from meshtrail.cli.suggest import steps
from meshtrail.local.applications import APPLICATIONS


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("three-tier", ["curl H/", "meshtrail trace", "meshtrail propagation backend none",
                        "meshtrail propagation backend all"]),
        ("bookinfo", ["curl H/productpage", "curl H/api/v1/products/0/reviews", "meshtrail trace",
                      "meshtrail propagation reviews none", "meshtrail propagation reviews all",
                      "kubectl apply -k istio/bookinfo/by-user"]),
        # It calls nobody: there is nothing to break.
        ("helloworld", ["curl H/", "curl H/gettime", "meshtrail trace"]),
    ],
)  # fmt: skip
def test_steps_are_those_of_the_application(name: str, commands: list[str]) -> None:
    found = steps(
        APPLICATIONS[name], curl="curl", address="H", call=lambda words: f"meshtrail {words}", apply="kubectl apply -k"
    )
    assert [command for command, _ in found] == commands
