"""Building kustomizations: what each field does, compared with kustomize itself where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.documents import documents
from tests.support.programs import kustomize

from meshtrail.errors import ManifestError
from meshtrail.manifests import kinds, load
from meshtrail.manifests.document import plain
from meshtrail.manifests.kustomize import build

from .ordered import by_name

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - {name: NAME, image: "registry:5000/shop/NAME:1"}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: NAME}, ports: [{name: http, port: 80}]}
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder `base` with the deployments and services one and two."""
    folder = tmp_path / "base"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(DEPLOYMENT.replace("NAME", name))
    write(folder, "resources: [one.yaml, two.yaml]")
    return folder


def write(folder: Path, text: str, kind: str = "Kustomization") -> Path:
    api = "v1alpha1" if kind == "Component" else "v1beta1"
    folder.mkdir(exist_ok=True)
    text = f"apiVersion: kustomize.config.k8s.io/{api}\nkind: {kind}\n{text}\n"
    (folder / "kustomization.yaml").write_text(text)
    return folder


def built(folder: Path) -> list[object]:
    return by_name([plain(one) for one in build(folder, [], set(), {})])


# Each is a kustomization over the folder `base`; the test holds our result to that of kustomize.
SAME = {
    "namespace": "namespace: shop",
    "labels": "labels: [{pairs: {team: a}}]",
    "labels-templates": "labels: [{pairs: {team: a}, includeTemplates: true}]",
    "labels-selectors": "labels: [{pairs: {team: a}, includeSelectors: true}]",
    "annotations": "commonAnnotations: {note: x}",
    "images-name": "images: [{name: 'registry:5000/shop/one', newName: other/one}]",
    "images-tag": "images: [{name: 'registry:5000/shop/one', newTag: '2'}]",
    "images-digest": "images: [{name: 'registry:5000/shop/one', digest: 'sha256:abc'}]",
    "images-none": "images: [{name: shop/one, newTag: '2'}]",
    "replicas": "replicas: [{name: one, count: 3}]",
    "literals": "configMapGenerator: [{name: c, literals: [a=b, 'c=\"d e\"', 'e=f=g'], options: {labels: {k: v}}}]\n"
    "generatorOptions: {disableNameSuffixHash: true, annotations: {p: q}}",
    "secret": "secretGenerator: [{name: s, literals: [a=b]}]\ngeneratorOptions: {disableNameSuffixHash: true}",
    "files": "configMapGenerator: [{name: c, files: [note.txt, other=note.txt], envs: [note.env]}]\n"
    "generatorOptions: {disableNameSuffixHash: true}",
    "merge": """patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: one, labels: {l: m}}
    spec:
      replicas: 2
      template:
        spec:
          containers:
          - {name: one, env: [{name: A, value: "1"}]}
          - {name: side, image: side}
          volumes: [{name: tmp, emptyDir: {}}]""",
    "merge-twice": """patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: one}
    spec: {template: {spec: {containers: [{name: one, ports: [{containerPort: 80, name: http}]}]}}}
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: one}
    spec:
      template:
        spec:
          containers:
          - {name: one, ports: [{containerPort: 81}, {containerPort: 80, name: web}]}""",
    "merge-rename": """patches:
- target: {kind: Deployment, name: one}
  options: {allowNameChange: true}
  patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: three, labels: {l: m}}
- target: {kind: Deployment, name: two}
  options: {allowNameChange: false}
  patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: four, labels: {l: m}}""",
    "merge-delete": """patches:
- patch: |-
    apiVersion: v1
    kind: Service
    metadata: {name: two}
    $patch: delete""",
    "merge-target": """patches:
- target: {kind: Deployment, name: "o.*|two"}
  patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: any}
    spec: {template: {metadata: {annotations: {a: b}}}}""",
    "merge-service-ports": """patches:
- patch: |-
    apiVersion: v1
    kind: Service
    metadata: {name: one}
    spec: {ports: [{port: 80, name: web}, {port: 81, name: more}]}""",
    "json": """patches:
- target: {kind: Deployment, name: one}
  patch: |-
    - {op: replace, path: /spec/template/spec/containers/0/image, value: x}
    - {op: add, path: /metadata/annotations, value: {a~b: c}}
    - {op: add, path: /spec/template/spec/containers/-, value: {name: b, image: b}}""",
    "json-nobody": """patches:
- target: {kind: Deployment, name: tw}
  patch: '[{"op": "remove", "path": "/spec"}]'""",
}


@pytest.mark.parametrize("case", SAME)
def test_same_as_kustomize(base: Path, case: str) -> None:
    folder = base.parent / "top"
    folder.mkdir()
    (folder / "note.txt").write_text("a note\n")
    (folder / "note.env").write_text("# comment\nA=b c\n\nB=\n")
    write(folder, f"resources: [../base]\n{SAME[case]}")
    ours = built(folder)
    assert (case in ("images-none", "json-nobody")) == (ours == built(base))
    assert ours == by_name(documents(kustomize(folder)))


def test_components_work_in_order_and_after_resources(base: Path) -> None:
    write(base.parent / "c1", "images: [{name: 'registry:5000/shop/one', newName: first}]", "Component")
    nested = write(base.parent / "c2", "components: [../c1]\nimages: [{name: first, newTag: '9'}]", "Component")
    top = write(base.parent / "top", "resources: [../base]\ncomponents: [../c2]\nnamespace: shop")
    ours = built(top)
    assert ours == by_name(documents(kustomize(top)))
    (one,) = [found for found in load([top]).of(kinds.Deployment) if found.meta.name == "one"]
    assert (one.containers[0].image, one.meta.namespace) == ("first:9", "shop")
    # The same component given from outside.
    (one,) = [found for found in load([base], components=[nested]).of(kinds.Deployment) if found.meta.name == "one"]
    assert one.containers[0].image == "first:9"


def test_a_component_is_laid_where_it_fits(base: Path) -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: one}\nspec: {replicas: 7}\n"
    component = write(base.parent / "component", "patches: [{path: patch.yaml}]", "Component")
    (component / "patch.yaml").write_text(patch)
    other = write(base.parent / "other", "resources: [map.yaml]")
    (other / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n")
    found = load([other, base], components=[component])
    assert [one.replicas for one in found.of(kinds.Deployment)] == [7, 1]
    assert component / "patch.yaml" in found.files()
    with pytest.raises(ManifestError, match="Deployment one: the patch finds no such object"):
        load([other], components=[component])
    with pytest.raises(ManifestError, match="no kustomization was given"):
        load([other / "map.yaml"], components=[component])


def test_files_are_told_for_watching(base: Path) -> None:
    top = write(base.parent / "top", "resources: [../base]\npatches: [{path: p.yaml}]")
    (top / "p.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: one, labels: {a: b}}\n")
    files = {path.relative_to(base.parent).as_posix() for path in load([top]).files()}
    assert files == {
        "top/kustomization.yaml",
        "top/p.yaml",
        "base/kustomization.yaml",
        "base/one.yaml",
        "base/two.yaml",
    }


def test_an_error_names_the_patch_that_made_it(base: Path) -> None:
    top = write(base.parent / "top", "resources: [../base]\npatches: [{path: p.yaml}]")
    (top / "p.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: one}\nspec:\n  typ: NodePort\n")
    with pytest.raises(ManifestError) as caught:
        load([top])
    (problem,) = caught.value.problems
    assert (Path(problem.file).name, problem.line, problem.field) == ("p.yaml", 5, "spec.typ")
    write(top, "resources: [../base]\npatches:\n- patch: |-\n" + "".join(
        f"    {line}\n" for line in (top / "p.yaml").read_text().splitlines()
    ))  # fmt: skip
    with pytest.raises(ManifestError) as caught:
        load([top])
    (problem,) = caught.value.problems
    assert (Path(problem.file).name, problem.line) == ("kustomization.yaml", 10)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("resource: [../base]", "did you mean 'resources'?"),
        ("bases: [../base]", "use resources"),
        ("namePrefix: a-", "name the objects in their files"),
        ("resources: [gone.yaml]", "no such file or folder: gone.yaml"),
        ("resources: ['']", "must not be empty"),
        ("resources: [5]", "must be a string"),
        ("resources: ../base", "must be a list"),
        ("resources: ['https://example.com/a.yaml']", "nothing is fetched"),
        ("resources: ['github.com/a/b?ref=v1']", "nothing is fetched"),
        ("resources: [../base/one.yaml]", "outside of the kustomization's folder"),
        ("resources: [../base, ../base]", "is given twice"),
        ("resources: [../top]", "in a circle"),
        ("resources: [../component]", "is a Component, which belongs under components"),
        ("components: [../base]", "is a Kustomization, which belongs under resources"),
        ("resources: [list.yaml]", "a manifest is a mapping, not the string 'a'"),
        ("resources: [../base]\nreplicas: [{name: nobody, count: 1}]", "no Deployment is named 'nobody'"),
        ("resources: [../base]\nreplicas: [{name: one, count: -1}]", "out of range"),
        ("resources: [../base]\npatches: [{patch: '[]'}]", "needs a target"),
        ("resources: [../base]\npatches: [{patch: '[{op: test}]', target: {name: a}}]", "must be JSON"),
        ("resources: [../base]\npatches: [{patch: 'a'}]", "a patch is a mapping or a list"),
        ("resources: [../base]\npatches: [{patch: ''}]", "the patch is empty"),
        ("resources: [../base]\npatches: [{patch: '{', target: {name: one}}]", "YAML error"),
        ("resources: [../base]\npatches: [{path: p.yaml, patch: ''}]", "only one of"),
        ("resources: [../base]\npatches: [{patch: '{kind: Service, apiVersion: v1}'}]", "finds no such object"),
        ("resources: [../base]\npatches: [{patch: '[]', target: {name: '['}}]", "not a regular expression"),
        ("resources: [../base]\npatches: [{patch: '[]', target: {labelSelector: 'a in (b)'}}]", "is not supported"),
        ("configMapGenerator: [{name: a, literals: [a=b]}]", "set disableNameSuffixHash: true"),
        ("configMapGenerator: [{name: a, literals: [a=b, a=c], options: {disableNameSuffixHash: true}}]", "twice"),
        ("configMapGenerator: [{name: a, literals: [a], options: {disableNameSuffixHash: true}}]", "KEY=value"),
        ("configMapGenerator: [{name: a, envs: [list.yaml], options: {disableNameSuffixHash: true}}]", "line 1 of"),
        ("configMapGenerator: [{name: a, behavior: merge, options: {disableNameSuffixHash: true}}]", "one place"),
        ("kind: Kustomisation", "key 'kind' is given twice"),
    ],
)
def test_wrong_kustomizations(base: Path, text: str, part: str) -> None:
    write(base.parent / "component", "", "Component")
    top = base.parent / "top"
    top.mkdir()
    (top / "list.yaml").write_text("a\n")
    write(top, text)
    with pytest.raises(ManifestError) as caught:
        load([top])
    assert part in str(caught.value)


@pytest.mark.parametrize("text", ["a", "- a", "", "a: 1\n---\nb: 1", "kind: 5", "kind: Deployment", "apiVersion: v9"])
def test_what_is_no_kustomization(tmp_path: Path, text: str) -> None:
    (tmp_path / "kustomization.yaml").write_text(text)
    with pytest.raises(ManifestError, match=r"kustomization\.yaml"):
        load([tmp_path])


def test_a_file_that_cannot_be_read_is_the_error_not_the_patch_that_misses_its_object(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("kind: [\n")
    component = tmp_path / "component"
    component.mkdir()
    (component / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{path: patch.yaml}]\n"
    )
    (component / "patch.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: backend}\n")
    (tmp_path / "kustomization.yaml").write_text("resources: [base.yaml]\ncomponents: [component]\n")
    with pytest.raises(ManifestError) as caught:
        load([tmp_path])
    assert [Path(problem.file).name for problem in caught.value.problems] == ["base.yaml"]
