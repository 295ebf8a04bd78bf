"""Reading: files, folders, kustomizations, charts, standard input, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lint.support import CART, DEPLOYMENT, NAMESPACE, SERVICE, run

from meshtrail.lint.run import lint

UNNAMED = SERVICE.replace("name: http, ", "")
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"


def write(folder: Path, **files: str) -> Path:
    """Files by name, `__` for a slash; `.yaml` is added."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_several_documents_a_list_and_comments() -> None:
    items = "\n".join(f"  - {one.strip()}".replace("\n", "\n    ") for one in (NAMESPACE, UNNAMED))
    listed = f"# Source: chart/templates/x.yaml\n---\n---\napiVersion: v1\nkind: List\nitems:\n{items}\n"
    report = run(listed, DEPLOYMENT, "")
    assert report.problems == ()
    assert [(one.rule, one.line) for one in report.findings] == [("port-protocol", 15)]


def test_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text('{"apiVersion": "v1",\n "kind": "Namespace",\n "metadata": {"name": "x"}}')
    assert lint([str(path)]).objects == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("apiVersion: v1\nkind: Service\n\tmetadata: {}\n", 3, "tab character"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: x, na", 3, "expected"),
        ("apiVersion: v1\nkind: Service\nkind: Pod\n", 3, "given twice"),
        ("apiVersion: v1\nkind: {{ .Values.kind }}\n", 2, ""),
        ("- a\n- b\n", 1, "is no manifest"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    report = lint([str(path)])
    assert report.exit_status == 2
    (problem,) = report.problems
    assert (problem.file, problem.line) == (str(path), line)
    assert words in problem.message


def test_what_can_be_read_is_still_looked_at(tmp_path: Path) -> None:
    write(tmp_path, good="\n---\n".join((NAMESPACE, UNNAMED, DEPLOYMENT)), bad="kind: [")
    report = lint([str(tmp_path)])
    assert report.exit_status == 2
    assert [one.rule for one in report.findings] == ["port-protocol"]


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"kind: A\x00"])
def test_what_is_no_text_is_said(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(text)
    assert lint([str(tmp_path / "x.yaml")]).exit_status == 2


def test_a_path_that_is_not_there() -> None:
    (problem,) = lint(["nowhere.yaml"]).problems
    assert str(problem) == "nowhere.yaml: no such file"


def test_a_folder_is_read_with_what_is_below_but_only_manifests_count(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="\n---\n".join((NAMESPACE, DEPLOYMENT)),
        deep__er__b=UNNAMED,
        settings="tabs: {\n",  # nothing says that it is a manifest
        node_modules__c=UNNAMED.replace("cart", "other"),
    )
    write(tmp_path / ".github", workflow="apiVersion: [")
    report = lint([str(tmp_path)])
    assert report.problems == ()
    assert [(one.rule, Path(one.file).name) for one in report.findings] == [("port-protocol", "b.yaml")]


def test_a_helm_chart_has_to_be_rendered(tmp_path: Path) -> None:
    write(tmp_path, chart__Chart="name: x\n", chart__templates__a="kind: {{ x }}\n", a=NAMESPACE)
    report = lint([str(tmp_path)])
    assert report.problems == ()
    assert report.skipped == (str(tmp_path / "chart"),)


def test_kustomizations_below_a_folder_stand_for_themselves(tmp_path: Path) -> None:
    base = KUSTOMIZATION + "resources: [cart.yaml]\n"
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\n"
    patch = service + "spec:\n  ports:\n    - port: 8080\n      name: PORT\n"
    write(tmp_path, base__kustomization=base, base__cart="\n---\n".join((NAMESPACE, UNNAMED, DEPLOYMENT)))
    overlay = KUSTOMIZATION + "resources: [../../base]\npatches: [{path: patch.yaml}]\n"
    for name, port in (("right", "http"), ("wrong", "web")):
        write(
            tmp_path / "overlays", **{f"{name}__kustomization": overlay, f"{name}__patch": patch.replace("PORT", port)}
        )
    write(
        tmp_path, part__kustomization=KUSTOMIZATION.replace("Kustomization", "Component").replace("v1beta1", "v1alpha1")
    )

    report = lint([str(tmp_path)])

    # The base alone would be reported, and is what the overlays mend; the component builds nothing alone.
    assert report.problems == ()
    (one,) = report.findings
    assert (one.rule, one.file, one.line) == ("port-protocol", str(tmp_path / "overlays/wrong/patch.yaml"), 7)
    assert one.patched
    assert one.kustomization == str(tmp_path / "overlays/wrong")
    # Asked for by its name the base is looked at.
    assert [found.rule for found in lint([str(tmp_path / "base")]).findings] == ["port-protocol"]


def test_what_several_kustomizations_share_is_reported_once(tmp_path: Path) -> None:
    write(tmp_path, base__kustomization=KUSTOMIZATION + "resources: [cart.yaml]\n")
    write(tmp_path, base__cart="\n---\n".join((NAMESPACE, UNNAMED, DEPLOYMENT)))
    for name in ("a", "b"):
        write(tmp_path, **{f"{name}__kustomization": KUSTOMIZATION + "resources: [../base]\n"})
    (one,) = lint([str(tmp_path)]).findings
    assert (one.file, one.patched) == (str(tmp_path / "base/cart.yaml"), False)


def test_a_kustomization_with_more_than_is_built_here_says_the_way_around(tmp_path: Path) -> None:
    write(tmp_path, kustomization=KUSTOMIZATION + "namePrefix: x-\nresources: [https://example.com/x]\n")
    problems = lint([str(tmp_path)]).problems
    assert problems
    assert all("kubectl kustomize" in one.mend for one in problems)


def test_generated_names_with_a_hash_are_read(tmp_path: Path) -> None:
    write(tmp_path, kustomization=KUSTOMIZATION + "configMapGenerator: [{name: x, literals: [a=b]}]\n")
    report = lint([str(tmp_path)])
    assert (report.problems, report.objects) == ((), 1)


def test_what_is_named_together_is_looked_at_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.yaml" for index in range(3)]
    for path, text in zip(paths, (NAMESPACE, UNNAMED, DEPLOYMENT), strict=True):
        path.write_text(text)
    assert [one.level for one in lint([str(path) for path in paths]).findings] == ["warning"]
    assert [one.level for one in lint([str(path) for path in paths[1:]]).findings] == ["note"]


def test_the_text_of_a_mesh_configuration_must_be_yaml() -> None:
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
    config += "data:\n  mesh: |\n    a: [\n"
    (problem,) = run(config, *CART).problems
    assert problem.file == "<stdin>"
    assert problem.line in (6, 7)


def test_a_large_file_is_read(tmp_path: Path) -> None:
    # A rendered release with its CustomResourceDefinitions is several MB; the limits are for other people's files.
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n%d}\ndata: {a: %s}\n---\n"
    path = tmp_path / "large.yaml"
    path.write_text("".join(one % (number, "x" * 100_000) for number in range(50)))
    report = lint([str(path)])
    assert (report.problems, report.objects) == ((), 50)


def test_folders_without_namespaces_are_looked_at_apart(tmp_path: Path) -> None:
    telemetry = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: NAME, PLACE}
spec: {tracing: [{providers: [{name: jaeger}], randomSamplingPercentage: 1}]}
"""
    for place, expected in (("labels: {}", set()), ("namespace: shop", {"telemetry-competes"})):
        for name in ("a", "b"):
            write(tmp_path, **{f"{name}__telemetry": telemetry.replace("NAME", name).replace("PLACE", place)})
        found = {one.rule for one in lint([str(tmp_path)]).findings if one.level != "note"}
        assert found == expected
    # In one folder they are one set.
    write(tmp_path, a__other=telemetry.replace("NAME", "c").replace("PLACE", "labels: {}"))
    write(tmp_path, a__telemetry=telemetry.replace("NAME", "a").replace("PLACE", "labels: {}"))
    assert "telemetry-competes" in {one.rule for one in lint([str(tmp_path)]).findings}
