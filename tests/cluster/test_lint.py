"""What `istioctl analyze` says of the manifests that each rule of the lint reports, as docs/lint.md has it.

Those of the namespace `shop` are put on the cluster, each rule's in a namespace of its own and where no node takes the
pods; the mesh's own objects are only shown to istioctl as files.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.support import Object, kubectl, require_cluster
from tests.support.documents import documents
from tests.support.mesh import ROOT
from tests.support.programs import binary

from meshtrail.lint import rules
from meshtrail.lint.istioctl import SAYS
from meshtrail.lint.rule import RULES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

rules.load()
EXAMPLES = ROOT / "src/meshtrail/lint/examples"
# Of an example that shows one fault: that it brings no Gateway and no EnvoyFilter's guarantee is not that fault.
BESIDE = {"IST0132", "IST0140"}


def analyze(*arguments: str) -> list[Object]:
    """Its messages about the whole cluster, with the files among `arguments` laid over it."""
    command = [binary("istioctl"), "analyze", "--all-namespaces", "--output", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.stdout.lstrip().startswith("["), done.stderr
    found: list[Object] = json.loads(done.stdout)
    return found


def codes(messages: list[Object], rule: str) -> set[str]:
    wanted = {one["code"] for one in messages if "gateway not found" not in one["message"]} - BESIDE
    # The example of header-removal is a VirtualService alone.
    return wanted - {"IST0101"} if rule == "header-removal" else wanted


def reported(rule: str) -> list[Object]:
    return documents(EXAMPLES / rule / "reported.yaml")


def moved(rule: str, namespace: str) -> list[Object]:
    """The objects of `shop` in another namespace, which is there; their pods wait for a node that nobody has."""
    found = []
    for one in reported(rule):
        if one["metadata"].get("namespace") != "shop":
            continue
        one["metadata"]["namespace"] = namespace
        if one["kind"] == "Deployment":
            one["spec"]["template"]["spec"]["nodeSelector"] = {"meshtrail.dev/nobody": "here"}
        text = json.dumps(one).replace(".shop.", f".{namespace}.").replace('"cart.shop"', f'"cart.{namespace}"')
        found.append(json.loads(text))
    return found


@pytest.fixture(scope="module")
def deployed() -> Iterator[dict[str, list[Object]]]:
    """Messages by rule, of all the rules whose example is of an application."""
    require_cluster()
    mark = f"mt-lint-{secrets.token_hex(2)}"
    places = {rule: f"{mark}-{rule}" for rule in RULES if moved(rule, "x")}
    spaces = []
    for rule, place in places.items():
        own = next((one for one in reported(rule) if one["kind"] == "Namespace"), None)
        labels = own["metadata"].get("labels", {}) if own else {"istio-injection": "enabled"}
        spaces.append(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place, "labels": labels | {"lint": mark}}}
        )
    try:
        kubectl("apply", "-f", "-", input=yaml.safe_dump_all(spaces))
        objects = [one for rule, place in places.items() for one in moved(rule, place)]
        kubectl("apply", "-f", "-", input=yaml.safe_dump_all(objects), timeout=150)

        def said() -> dict[str, list[Object]]:
            messages = analyze()
            by_rule: dict[str, list[Object]] = {}
            for rule, place in places.items():
                by_rule[rule] = [
                    one for one in messages if f" {place}/" in one["origin"] or one["origin"].endswith(f" {place}")
                ]
            return by_rule

        found = said()
        for _ in range(5):
            # Pods come a moment after their Deployment.
            if all(codes(found[rule], rule) == set(SAYS.get(rule, ())) for rule in places):
                break
            found = said()
        yield found
    finally:
        kubectl("delete", "namespace", "-l", f"lint={mark}", "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize("rule", [rule for rule in RULES if moved(rule, "x")])
def test_of_what_is_on_the_cluster_it_says_what_the_page_says(rule: str, deployed: dict[str, list[Object]]) -> None:
    assert codes(deployed[rule], rule) == set(SAYS.get(rule, ()))


@pytest.mark.parametrize("rule", [rule for rule in RULES if not moved(rule, "x")])
def test_of_the_mesh_s_own_objects_it_says_what_the_page_says(rule: str, tmp_path: Path) -> None:
    require_cluster()
    path = f"src/meshtrail/lint/examples/{rule}/reported.yaml"
    options = []
    for one in reported(rule):
        if one["kind"] == "IstioOperator":  # It does not read that, but takes its mesh configuration.
            (tmp_path / "mesh.yaml").write_text(yaml.safe_dump(one["spec"]["meshConfig"]))
            options = [f"--meshConfigFile={tmp_path / 'mesh.yaml'}"]
    messages = [one for one in analyze(path, *options) if path in one.get("reference", "")]
    assert codes(messages, rule) == set(SAYS.get(rule, ()))
