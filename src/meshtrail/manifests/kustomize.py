"""Kustomize as this repository uses it: a kustomization folder built into documents.

The order of work is kustomize's own: resources, generators, components, then patches, namespace, labels, annotations,
replicas, images. A field of a kustomization that is not supported is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshtrail.errors import ManifestError, Problem, Warnings
from meshtrail.manifests import transforming
from meshtrail.manifests.document import List, Map, Mark, clone, parse, read_text
from meshtrail.manifests.files import read_file
from meshtrail.manifests.patching import fail, json_patch, strategic_merge
from meshtrail.manifests.reader import Fields, Scope, Value, kind_of, message

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
PATCH = message("Kustomization.patches[]", "path patch target", refused="options")
TARGET = message("Kustomization.patches[].target", "group version kind name namespace labelSelector annotationSelector")
GENERATOR = message(
    "Kustomization.configMapGenerator[], secretGenerator[]",
    "name namespace literals files envs options type",
    refused={"behavior": "write the whole ConfigMap in one place", "env": "use envs"},
)
OPTIONS = message("Kustomization.generatorOptions", "disableNameSuffixHash labels annotations immutable")


class NoTargetError(ManifestError):
    """A patch names an object that is not among the resources."""


@dataclass(slots=True)
class _Build:
    """One build: the files read so far, and the kustomizations being built, to find circles."""

    files: set[Path]
    open: list[Path] = field(default_factory=list)


def find(folder: Path) -> Path | None:
    """The kustomization file of a folder, if it has one."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def build(folder: Path, components: Sequence[Path], files: set[Path], laid: dict[Path, list[Problem]]) -> list[Map]:
    """The objects of a kustomization with further components laid over it.

    A component whose patches name an object that this kustomization lacks is left out: the same components are laid
    over several kustomizations. `laid` receives for each component what was missing, [] when it was laid over; `files`
    every file that was read. Raises ManifestError.
    """
    run = _Build(files)
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
        _refuse_twice(objects)
        for value in self.fields.items("components"):
            folder = self.below(value)
            if folder is not None:
                objects = _build(folder, objects, self.run, want="Component")
        self.stop()
        for item in self.fields.all_fields("patches", PATCH):
            objects = self.patch(item, objects)
        self.stop()
        self.transform(objects)
        self.stop()
        _refuse_twice(objects)
        return objects

    def below(self, value: Value) -> Path | None:
        """The file or folder that an entry names, relative to the kustomization; None after a problem."""
        name = value.text()
        if not name:
            if isinstance(value.raw, str):
                value.error("must not be empty")
            return None
        if "://" in name or name.startswith(("git@", "github.com/")) or "?ref=" in name:
            value.error(f"{name[:80]!r} is remote: nothing is fetched", "copy it into the repository")
            return None
        # Joined by hand: `..` is resolved in the text, so that messages name the path a person would write.
        path = Path(os.path.normpath(self.folder / name))
        try:
            exists = path.exists()
        except (OSError, ValueError):
            exists = False
        if not exists:
            value.error(f"no such file or folder: {name[:200]}")
            return None
        if path.is_file() and not path.resolve().is_relative_to(self.folder.resolve()):
            value.error(f"{name} lies outside of the kustomization's folder, which kustomize refuses", "move it, or "
                        "give its folder a kustomization of its own")  # fmt: skip
            return None
        return path

    def resources(self) -> list[Map]:
        out: list[Map] = []
        for value in self.fields.items("resources"):
            path = self.below(value)
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
        documents = self.patch_documents(item)
        if self.problems or not documents:
            return objects
        if isinstance(documents[0], List):
            if target is None:
                item.error("a JSON 6902 patch needs a target", "target")
                return objects
            chosen = _select(target, objects)
            return [json_patch(one, documents[0]) if any(one is c for c in chosen) else one for one in objects]
        if target is not None and len(documents) > 1:
            item.error("several patches cannot share a target", "target", "one entry for each")
            return objects
        for document in documents:
            if not isinstance(document, Map):
                item.error(f"a patch is a mapping or a list of operations, not {kind_of(document)}")
                return objects
            chosen = _select(target, objects) if target is not None else [_named(document, objects)]
            out: list[Map] = []
            for one in objects:
                if any(one is c for c in chosen):
                    merged = strategic_merge(one, document)
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
                found = parse("\n" * (inline.mark.line) + inline.text(), inline.mark.file)
            else:
                named = item.get("path")
                path = self.below(named) if named else None
                if path is None:
                    return []
                self.run.files.add(path)
                found = parse(read_text(path), str(path))
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
                out.append(self.generate(item, kind, common))
        return out

    def generate(self, item: Fields, kind: str, common: Fields | None) -> Map:
        options: dict[str, Any] = {"labels": {}, "annotations": {}, "type": item.text("type")}
        plain_name = False
        for given in (common, item.fields("options", OPTIONS)):
            if given is not None:
                options["labels"] |= given.labels("labels")
                options["annotations"] |= given.labels("annotations")
                options["immutable"] = given.boolean("immutable") or bool(options.get("immutable"))
                plain_name = plain_name or given.boolean("disableNameSuffixHash")
        if not plain_name:
            item.error("a generated name with a hash is not supported", "options", "set disableNameSuffixHash: true")
        return transforming.generated(
            kind, item.text("name", required=True), item.text("namespace"), self.pairs(item), options, item.raw.mark
        )

    def pairs(self, item: Fields) -> dict[str, str]:
        """The data of a generator: literals, files (KEY=FILE), env files."""
        out: dict[str, str] = {}
        for value in item.items("literals"):
            key, equals, text = value.text().partition("=")
            if not equals or not key:
                value.error("must be KEY=value")
            if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
                text = text[1:-1]
            self.pair(out, key, text, value)
        for value in item.items("files"):
            key, equals, name = value.text().partition("=")
            path = self.below(Value(self.scope, name if equals else key, value.path, value.mark))
            if path is not None:
                self.run.files.add(path)
                self.pair(out, key if equals else path.name, self.text(path, value), value)
        for value in item.items("envs"):
            path = self.below(value)
            if path is None:
                continue
            self.run.files.add(path)
            lines = transforming.env_lines(self.text(path, value), path)
            if isinstance(lines, str):
                value.error(lines)
                continue
            for key, text in lines.items():
                self.pair(out, key, text, value)
        return out

    def pair(self, out: dict[str, str], key: str, text: str, value: Value) -> None:
        if key in out:
            value.error(f"the key {key[:60]!r} is given twice")
        out[key] = text

    def text(self, path: Path, value: Value) -> str:
        try:
            return read_text(path)
        except ManifestError as error:
            value.error(error.problems[0].message)
            return ""


# ------------------------------------------------------------------------------------------------- selecting


def _identity(one: Map) -> tuple[str, str, str, str]:
    """API group, kind, namespace, name."""
    meta = one.get("metadata")
    meta = meta if isinstance(meta, Map) else Map(one.mark)
    group = str(one.get("apiVersion")).rpartition("/")[0]
    return (group, str(one.get("kind")), str(meta.get("namespace") or ""), str(meta.get("name")))


def _refuse_twice(objects: list[Map]) -> None:
    first: dict[tuple[str, str, str, str], Map] = {}
    for one in objects:
        own = _identity(one)
        if own in first:
            place = first[own].mark
            what = f"{own[1]} {own[3]}"
            raise fail(f"{what} is given twice (first in {place.file}:{place.line})", one.mark)
        first[own] = one


def _named(patch: Map, objects: list[Map]) -> Map:
    """The object that a strategic-merge patch is for, by group, kind, name and, if it says so, namespace."""
    group, kind, namespace, name = _identity(patch)
    found = [
        one
        for one in objects
        if (own := _identity(one))[:2] == (group, kind)
        and own[3] == name
        and (not namespace or own[2] in (namespace, ""))
    ]
    if len(found) == 1:
        return found[0]
    problem = Problem(
        "the patch finds no such object" if not found else "the patch fits several objects",
        patch.mark.file,
        patch.mark.line,
        f"{kind} {name}"[:120],
        mend="check apiVersion, kind and name" if not found else "give the namespace",
    )
    raise NoTargetError([problem]) if not found else ManifestError([problem])


def _select(target: Fields, objects: list[Map]) -> list[Map]:
    """The objects that a patch target chooses; names are anchored regular expressions, as kustomize has them."""
    patterns = {}
    for name in ("name", "namespace", "kind", "group", "version"):
        text = target.text(name)
        try:
            patterns[name] = re.compile(f"(?:{text})$") if text else None
        except re.error as error:
            target.error(f"{text[:60]!r} is not a regular expression: {error}", name)
    labels = _selector(target, "labelSelector")
    annotations = _selector(target, "annotationSelector")
    chosen = []
    for one in objects:
        group, kind, namespace, name = _identity(one)
        version = str(one.get("apiVersion")).rpartition("/")[2]
        own = {"name": name, "namespace": namespace or "default", "kind": kind, "group": group, "version": version}
        if not all(pattern is None or pattern.match(own[what]) for what, pattern in patterns.items()):
            continue
        meta = one.get("metadata")
        meta = meta if isinstance(meta, Map) else Map(one.mark)
        if all(
            (there.get(key) == text if isinstance(there, Map) else False)
            for wanted, there in ((labels, meta.get("labels")), (annotations, meta.get("annotations")))
            for key, text in wanted.items()
        ):
            chosen.append(one)
    return chosen


def _selector(target: Fields, name: str) -> dict[str, str]:
    """`a=b,c=d`; the other operators of a label selector are not supported."""
    out = {}
    for part in filter(None, target.text(name).split(",")):
        key, equals, value = part.partition("=")
        if not equals or key.endswith("!") or not key.strip():
            target.error(f"{part[:60]!r} is not supported", name, "write KEY=value")
            continue
        out[key.strip()] = value.removeprefix("=").strip()
    return out
