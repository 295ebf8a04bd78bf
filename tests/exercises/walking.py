"""Exercises from their pages, on a mesh of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from tests.support.mesh import ROOT

from meshtrail.exercises.catalog import Exercise, exercises
from meshtrail.exercises.local import LocalPlace
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.settings import Case
from meshtrail.local import control, state

ENVIRONMENT = {"MESHTRAIL_PORTS": "auto", "NO_COLOR": "1", "MESHTRAIL_LANGUAGE": "en"}


def cases(target: str) -> Iterator[tuple[Exercise, Case]]:
    """Every case of every exercise that is for the target."""
    for exercise in exercises(ROOT):
        for case in exercise.settings.cases:
            if target in case.targets:
                yield exercise, case


def local_place(name: str) -> LocalPlace:
    return LocalPlace(name, auto_ports=True, root=ROOT, phrases=Phrases("en"))


def configuration(name: str) -> dict[str, Any]:
    """Everything that an exercise may change in a running mesh: its objects, switches and every Envoy's files.

    Ports by the order in which they appear: a sidecar that was away for a while comes back on other ones.
    """
    mesh = state.load(name)
    proxies = [process.name for process in mesh.processes if process.kind in ("sidecar", "gateway")]
    return {
        "application": mesh.application,
        "objects": sorted(control.call(mesh, "GET", "/objects")["objects"], key=str),
        "propagation": control.call(mesh, "GET", "/propagation")["services"],
        "envoys": numbered(
            {
                proxy: control.call(mesh, "GET", f"/config/{proxy.removesuffix('-sidecar')}")
                for proxy in sorted(proxies)
            },
            {},
        ),
    }


def numbered(value: Any, ports: dict[int, int]) -> Any:
    """The same with each `port_value` as the place at which that port came first."""
    if isinstance(value, dict):
        return {
            key: ports.setdefault(one, len(ports)) if key == "port_value" else numbered(one, ports)
            for key, one in value.items()
        }
    return [numbered(one, ports) for one in value] if isinstance(value, list) else value


def environment() -> dict[str, str]:
    return {**ENVIRONMENT, "MESHTRAIL_STATE": os.environ["MESHTRAIL_STATE"]}
