"""Reads the manifests of an application, of `-f` and of `apply`, from files and from text."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from meshtrail.errors import ManifestError, Problem, Warnings
from meshtrail.local.applications import application, parse_forms, parse_languages
from meshtrail.local.objects import main_namespace
from meshtrail.local.options import MeshOptions
from meshtrail.manifests import Manifests, load


@dataclass(frozen=True, slots=True)
class Source:
    """What the watched files say: `application` in the wanted forms and languages, `manifests` with `-f` over it."""

    application: Manifests
    manifests: Manifests


def read_source(options: MeshOptions, warnings: Warnings) -> Source:
    """Reads everything anew. Raises ManifestError with all problems of the application, else of the `-f`."""
    app = application(options.application)
    root = Path(options.root)
    components = app.components(parse_forms(app, options.form), parse_languages(app, options.lang))
    base = load(
        [shown(root / path) for path in app.manifests],
        components=[shown(root / path) for path in components],
        lenient=options.lenient,
        warnings=warnings,
    )
    if not options.files:
        return Source(base, base)
    over = load(
        [shown(Path(file)) for file in options.files],
        default_namespace=main_namespace(base),
        lenient=options.lenient,
        warnings=warnings,
    )
    return Source(base, base.overlay(over))


def read_sent(
    documents: Sequence[Mapping[str, str]], *, folder: Path, namespace: str, lenient: bool, warnings: Warnings
) -> Manifests:
    """What `apply` and `delete` send: {"name", "text"} for a file, {"name", "path"} for a folder, read here.

    Errors name what the user named, not where the text lies meanwhile (in `folder`). Raises ManifestError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    result = Manifests()
    problems: list[Problem] = []
    try:
        for index, document in enumerate(documents):
            path = Path(document["path"]) if "path" in document else folder / f"{index}.yaml"
            if "text" in document:
                path.write_text(document["text"], encoding="utf-8")
            try:
                read = load([path], default_namespace=namespace, lenient=lenient, warnings=warnings)
            except ManifestError as error:
                problems += [_renamed(problem, path, document["name"]) for problem in error.problems]
                continue
            result = result.overlay(
                Manifests(
                    replace(
                        resource, meta=replace(resource.meta, file=_name(resource.meta.file, path, document["name"]))
                    )
                    for resource in read.values()
                )
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if problems:
        raise ManifestError(problems)
    return result


def _renamed(problem: Problem, path: Path, name: str) -> Problem:
    return replace(problem, file=_name(problem.file, path, name), message=problem.message.replace(str(path), name))


def _name(file: str, path: Path, name: str) -> str:
    return name + file.removeprefix(str(path)) if file.startswith(str(path)) else file


def shown(path: Path) -> Path:
    """Relative to where the command ran if it lies below: that is how errors name it."""
    here = Path.cwd()
    return Path(os.path.relpath(path, here)) if path.is_relative_to(here) else path
