"""Kustomize as this repository uses it: a kustomization folder built into documents.

The order of work is kustomize's own: resources, generators, components, then patches, namespace, labels, annotations,
replicas, images. A field of a kustomization that is not supported is an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshtrail.errors import ManifestError, Problem, Warnings
from meshtrail.manifests import transforming
from meshtrail.manifests.document import List, Map, Mark, clone, parse, read_text
from meshtrail.manifests.files import below, read_file
from meshtrail.manifests.generating import GENERATOR, OPTIONS, generate
from meshtrail.manifests.patching import fail, json_patch, strategic_merge
from meshtrail.manifests.reader import Fields, Scope, Value, kind_of, message
from meshtrail.manifests.selecting import TARGET, NoTargetError, named, refuse_twice, select

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_MENDS = {
    "bases": "use resources",
    "commonLabels": "use labels with includeSelectors: true",
    "patchesStrategicMerge": "use patches",
    "patchesJson6902": "use patches",
    "namePrefix": "name the objects in their files",
    "nameSuffix": "name the objects in their files",
}
KUSTOMIZATION = message(
    "Kustomization",
    "apiVersion kind resources components namespace labels commonAnnotations images replicas patches "
    "configMapGenerator secretGenerator generatorOptions",
    inert="metadata sortOptions",
    refused=dict.fromkeys(
        [
            "vars",
            "replacements",
            "crds",
            "helmCharts",
            "helmGlobals",
            "helmChartInflationGenerator",
            "generators",
            "transformers",
            "validators",
            "configurations",
            "openapi",
            "buildMetadata",
            "imageTags",
            "inventory",
        ],
        "",
    )
    | _MENDS,
)
LABELS = message("Kustomization.labels[]", "pairs includeSelectors includeTemplates", refused="fields")
IMAGE = message("Kustomization.images[]", "name newName newTag digest", refused="tagSuffix")
REPLICA = message("Kustomization.replicas[]", "name count")
PATCH = message("Kustomization.patches[]", "path patch target options")
PATCH_OPTIONS = message("Kustomization.patches[].options", "allowNameChange", refused="allowKindChange")


@dataclass(slots=True)
class _Build:
    """One build: the files read so far, and the kustomizations being built, to find circles."""

    files: set[Path]
    open: list[Path] = field(default_factory=list)
    hashed: bool = False


def find(folder: Path) -> Path | None:
    """The kustomization file of a folder, if it has one."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def build(
    folder: Path,
    components: Sequence[Path],
    files: set[Path],
    laid: dict[Path, list[Problem]],
    *,
    hashed: bool = False,
) -> list[Map]:
    """The objects of a kustomization with further components laid over it.

    A component whose patches name an object that this kustomization lacks is left out: the same components are laid
    over several kustomizations. `laid` receives for each component what was missing, [] when it was laid over; `files`
    every file that was read. With `hashed` generated names may get a hash, which is left out, here and where they are
    named. Raises ManifestError.
    """
    run = _Build(files, hashed=hashed)
    objects = _build(folder, [], run)
    for component in components:
        try:
            objects = _build(component, [clone(one) for one in objects], run, want="Component")
        except NoTargetError as error:
            laid.setdefault(component, error.problems)
        else:
            laid[component] = []
    return objects


def _build(folder: Path, inherited: list[Map], run: _Build, want: str = "Kustomization") -> list[Map]:
    path = find(folder)
    if path is None:
        mend = f"name a folder with one of {', '.join(NAMES)}"
        raise ManifestError([Problem("is not a kustomization", str(folder), mend=mend)])
    real = path.resolve()
    if real in run.open:
        raise ManifestError([Problem("the kustomizations include one another in a circle", str(path))])
    if len(run.open) > 20:
        raise ManifestError([Problem("kustomizations are nested deeper than 20 levels", str(path))])
    run.files.add(path)
    run.open.append(real)
    try:
        return _Kustomization(path, folder, run, want).build(inherited)
    finally:
        run.open.pop()


class _Kustomization:
    """One kustomization file being carried out."""

    def __init__(self, path: Path, folder: Path, run: _Build, want: str) -> None:
        documents = [one for one in parse(read_text(path), str(path)) if one is not None]
        self.folder, self.run = folder, run
        self.problems: list[Problem] = []
        self.mark = Mark(str(path), 1)
        if len(documents) != 1:
            raise fail("a kustomization is one YAML document", self.mark)
        self.scope = Scope("", self.problems, Warnings())
        self.fields = Fields(Value(self.scope, documents[0], "", self.mark), KUSTOMIZATION)
        kind = self.fields.text("kind", "Kustomization", choices=("Kustomization", "Component"))
        api = "v1alpha1" if kind == "Component" else "v1beta1"
        self.fields.text("apiVersion", choices=(f"kustomize.config.k8s.io/{api}",))
        if kind != want:
            place = "components" if kind == "Component" else "resources"
            self.fields.error(f"is a {kind}, which belongs under {place}", "kind")
        self.stop()

    def stop(self) -> None:
        if self.problems:
            raise ManifestError(self.problems)

    def build(self, inherited: list[Map]) -> list[Map]:
        objects = [*inherited, *self.resources(), *self.generators()]
        # Before the components: that a patch misses an object which could not be read would hide the reason.
        self.stop()
        refuse_twice(objects)
        for value in self.fields.items("components"):
            folder = below(self.folder, value)
            if folder is not None:
                objects = _build(folder, objects, self.run, want="Component")
        self.stop()
        for item in self.fields.all_fields("patches", PATCH):
            objects = self.patch(item, objects)
        self.stop()
        self.transform(objects)
        self.stop()
        refuse_twice(objects)
        return objects

    def resources(self) -> list[Map]:
        out: list[Map] = []
        for value in self.fields.items("resources"):
            path = below(self.folder, value)
            if path is None:
                continue
            try:
                if path.is_dir():
                    out += _build(path, [], self.run)
                    continue
                for raw, mark in read_file(path, self.run.files):
                    if isinstance(raw, Map):
                        out.append(raw)
                    else:
                        self.scope.error(f"a manifest is a mapping, not {kind_of(raw)}", mark)
            except ManifestError as error:
                self.problems.extend(error.problems)
        return out

    # ------------------------------------------------------------------------------------------- patches

    def patch(self, item: Fields, objects: list[Map]) -> list[Map]:
        item.exactly_one("path", "patch")
        target = item.fields("target", TARGET)
        options = item.fields("options", PATCH_OPTIONS)
        rename = options is not None and options.boolean("allowNameChange")
        documents = self.patch_documents(item)
        if self.problems or not documents:
            return objects
        if isinstance(documents[0], List):
            if target is None:
                item.error("a JSON 6902 patch needs a target", "target")
                return objects
            chosen = select(target, objects)
            return [json_patch(one, documents[0]) if any(one is c for c in chosen) else one for one in objects]
        if target is not None and len(documents) > 1:
            item.error("several patches cannot share a target", "target", "one entry for each")
            return objects
        for document in documents:
            if not isinstance(document, Map):
                item.error(f"a patch is a mapping or a list of operations, not {kind_of(document)}")
                return objects
            chosen = select(target, objects) if target is not None else [named(document, objects)]
            out: list[Map] = []
            for one in objects:
                if any(one is c for c in chosen):
                    merged = strategic_merge(one, document, rename=rename)
                    out += [merged] if merged is not None else []
                else:
                    out.append(one)
            objects = out
        return objects

    def patch_documents(self, item: Fields) -> list[Any]:
        try:
            inline = item.get("patch")
            if inline is not None:
                # The text is a block in the kustomization: its lines are counted from the field on.
                text = inline.text()
                check_json(inline, text)
                found = parse("\n" * inline.mark.line + text, inline.mark.file)
            else:
                place = item.get("path")
                path = below(self.folder, place) if place else None
                if place is None or path is None:
                    return []
                self.run.files.add(path)
                text = read_text(path)
                check_json(place, text)
                found = parse(text, str(path))
        except ManifestError as error:
            self.problems.extend(error.problems)
            return []
        documents = [one for one in found if one is not None]
        if not documents:
            item.error("the patch is empty")
        return documents

    # -------------------------------------------------------------------------------------- transformers

    def transform(self, objects: list[Map]) -> None:
        fields = self.fields
        namespace = fields.get("namespace")
        if namespace is not None:
            transforming.set_namespace(objects, namespace.text(), namespace.mark)
        for item in fields.all_fields("labels", LABELS):
            transforming.add_labels(
                objects,
                item.labels("pairs", required=True),
                item.raw.where("pairs"),
                selectors=item.boolean("includeSelectors"),
                templates=item.boolean("includeTemplates"),
            )
        annotations = fields.get("commonAnnotations")
        if annotations is not None:
            transforming.add_annotations(objects, fields.labels("commonAnnotations"), annotations.mark)
        for item in fields.all_fields("replicas", REPLICA):
            name, count = item.text("name", required=True), item.integer("count", 0, required=True)
            if name and not transforming.set_replicas(objects, name, count, item.raw.mark):
                item.error(f"no Deployment is named {name!r}", "name")
        for item in fields.all_fields("images", IMAGE):
            transforming.set_image(
                objects,
                item.text("name", required=True),
                item.text("newName"),
                item.text("newTag"),
                item.text("digest"),
                item.raw.mark,
            )

    # ---------------------------------------------------------------------------------------- generators

    def generators(self) -> list[Map]:
        common = self.fields.fields("generatorOptions", OPTIONS)
        out = []
        for name, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
            for item in self.fields.all_fields(name, GENERATOR):
                out.append(generate(item, kind, common, self.folder, self.run.files, hashed=self.run.hashed))
        return out


def check_json(value: Value, text: str) -> None:
    """Kustomize takes a patch that begins with `[` for JSON, and YAML's short form only without it."""
    if text.startswith("["):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            value.error("a patch that begins with [ must be JSON", "write the operations as a YAML list, with '- '")
