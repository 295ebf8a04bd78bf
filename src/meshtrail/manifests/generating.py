"""ConfigMaps and Secrets that a kustomization generates."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshtrail.errors import ManifestError
from meshtrail.manifests.document import Map, Mark, adopt, read_text
from meshtrail.manifests.files import below
from meshtrail.manifests.reader import Fields, Value, message

GENERATOR = message(
    "Kustomization.configMapGenerator[], secretGenerator[]",
    "name namespace literals files envs options type",
    refused={"behavior": "write the whole ConfigMap in one place", "env": "use envs"},
)
OPTIONS = message("Kustomization.generatorOptions", "disableNameSuffixHash labels annotations immutable")


def generate(
    item: Fields, kind: str, common: Fields | None, folder: Path, files: set[Path], *, hashed: bool = False
) -> Map:
    """The object that one entry of configMapGenerator or secretGenerator makes; mistakes are noted.

    `hashed`: a name that gets a hash is no mistake, the hash is left out.
    """
    options: dict[str, Any] = {"labels": {}, "annotations": {}, "type": item.text("type")}
    plain_name = False
    for given in (common, item.fields("options", OPTIONS)):
        if given is not None:
            options["labels"] |= given.labels("labels")
            options["annotations"] |= given.labels("annotations")
            options["immutable"] = given.boolean("immutable") or bool(options.get("immutable"))
            plain_name = plain_name or given.boolean("disableNameSuffixHash")
    if not plain_name and not hashed:
        item.error("a generated name with a hash is not supported", "options", "set disableNameSuffixHash: true")
    return generated(
        kind,
        item.text("name", required=True),
        item.text("namespace"),
        pairs(item, folder, files),
        options,
        item.raw.mark,
    )


def pairs(item: Fields, folder: Path, files: set[Path]) -> dict[str, str]:
    """The data of a generator: literals, files (KEY=FILE), env files."""
    out: dict[str, str] = {}
    for value in item.items("literals"):
        key, equals, text = value.text().partition("=")
        if not equals or not key:
            value.error("must be KEY=value")
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1]
        pair(out, key, text, value)
    for value in item.items("files"):
        key, equals, name = value.text().partition("=")
        path = below(folder, Value(value.scope, name if equals else key, value.path, value.mark))
        if path is not None:
            files.add(path)
            pair(out, key if equals else path.name, file_text(path, value), value)
    for value in item.items("envs"):
        path = below(folder, value)
        if path is None:
            continue
        files.add(path)
        lines = env_lines(file_text(path, value), path)
        if isinstance(lines, str):
            value.error(lines)
            continue
        for key, text in lines.items():
            pair(out, key, text, value)
    return out


def pair(out: dict[str, str], key: str, text: str, value: Value) -> None:
    if key in out:
        value.error(f"the key {key[:60]!r} is given twice")
    out[key] = text


def file_text(path: Path, value: Value) -> str:
    try:
        return read_text(path)
    except ManifestError as error:
        value.error(error.problems[0].message)
        return ""


def generated(
    kind: str, name: str, namespace: str, data: Mapping[str, str], options: Mapping[str, Any], mark: Mark
) -> Map:
    """A ConfigMap, or a Secret with its values encoded. `options`: labels, annotations, immutable, type."""
    values = dict(data)
    if kind == "Secret":
        values = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    meta: dict[str, Any] = {"name": name}
    if namespace:
        meta["namespace"] = namespace
    for field in ("labels", "annotations"):
        if options.get(field):
            meta[field] = dict(options[field])
    made: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": meta}
    if kind == "Secret":
        made["type"] = options.get("type") or "Opaque"
    if values:
        made["data"] = values
    if options.get("immutable"):
        made["immutable"] = True
    out = adopt(made, mark)
    assert isinstance(out, Map)
    return out


_ENV_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z", re.ASCII)


def env_lines(text: str, path: Path) -> dict[str, str] | str:
    """The pairs of an env file (KEY=value, `#` comments), or what is wrong with it."""
    out: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals or not _ENV_KEY.match(key):
            return f"line {number} of {path.name} is not KEY=value"
        out[key] = value
    return out
