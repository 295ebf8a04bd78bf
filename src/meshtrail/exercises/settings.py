"""`exercise.yaml`: what an exercise is called, on what it runs, and how its scene is set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from meshtrail.errors import MeshtrailError
from meshtrail.exercises.reading import both, choices, fail, mapping, only, read_yaml, text, texts
from meshtrail.local.applications import APPLICATIONS, DEFAULT_APPLICATION, FORMS, application, parse_forms
from meshtrail.local.switch import MODES
from meshtrail.manifests.document import Map

Target = Literal["local", "cluster"]
TARGETS: tuple[Target, ...] = get_args(Target)

FIELDS = ("title", "minutes", "targets", "application", "form", "scene", "cases", "touches")
SCENE_FIELDS = ("manifests", "delete", "propagation", "restart")
CASE_FIELDS = ("name", "title", "targets", "application", "form", "scene")


@dataclass(frozen=True, slots=True)
class Scene:
    """What `start` does to the running application, in this order: delete, apply, switch, restart.

    `manifests` and `delete` are paths relative to the exercise's folder (`delete` also `Kind/name` and
    `Kind/namespace/name`), `propagation` the mode of a service, `restart` Deployments that are rolled out anew, which
    only a cluster needs.
    """

    manifests: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    propagation: Mapping[str, str] = dataclasses.field(default_factory=dict)
    restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One breakage of an exercise; `form` is what `--form` takes. An exercise without cases is one of the name "".

    `targets`: where it can be shown; those of the exercise, unless the case needs what one of them does not have.
    """

    name: str
    title: Mapping[str, str]
    targets: tuple[Target, ...]
    application: str
    form: tuple[str, ...]
    scene: Scene


@dataclass(frozen=True, slots=True)
class Settings:
    """`minutes` is the time that a participant needs; `touches` names objects outside of the application's namespace
    (`Kind/namespace/name`) that a step changes by hand, so that `reset` gives them back."""

    title: Mapping[str, str]
    minutes: int
    targets: tuple[Target, ...]
    cases: tuple[Case, ...]
    touches: tuple[str, ...]

    def case(self, name: str) -> Case:
        """The case of that name, the first for an empty one. Raises MeshtrailError."""
        found = next((case for case in self.cases if not name or case.name == name), None)
        if found is None:
            names = ", ".join(case.name for case in self.cases if case.name)
            raise MeshtrailError(f"no case '{name}'", mend=f"take one of: {names}" if names else "it has no cases")
        return found


def read_settings(path: Path) -> Settings:
    """Raises ExerciseError with file, line and field."""
    raw = read_yaml(path)
    only(raw, FIELDS)
    minutes = raw.get("minutes")
    if not isinstance(minutes, int) or isinstance(minutes, bool) or not 0 < minutes < 180:
        raise fail(raw, "minutes", "must be a number of minutes")
    title = both(raw, "title")
    general = _case(raw, Case("", title, _targets(raw, TARGETS), DEFAULT_APPLICATION, (), Scene()), path.parent)
    found = raw.get("cases")
    if found is None:
        cases: list[Case] = [general]
    elif not isinstance(found, list) or not found or not all(isinstance(one, Map) for one in found):
        raise fail(raw, "cases", "must be a list of mappings")
    else:
        cases = []
        for one in found:
            only(one, CASE_FIELDS)
            name = text(one, "name")
            if name in (case.name for case in cases):
                raise fail(one, "name", f"there are two cases '{name}'")
            own = both(one, "title") if "title" in one else title
            cases.append(_case(one, dataclasses.replace(general, name=name, title=own), path.parent))
    # Those that a case is for, in the usual order.
    targets = tuple(target for target in TARGETS if any(target in case.targets for case in cases))
    return Settings(title, minutes, targets, tuple(cases), texts(raw, "touches"))


def _targets(raw: Map, general: tuple[Target, ...]) -> tuple[Target, ...]:
    named = texts(raw, "targets") or general
    for name in named:
        if name not in TARGETS:
            raise fail(raw, "targets", f"no target '{name}'", mend=f"take of: {', '.join(TARGETS)}")
    return tuple(target for target in TARGETS if target in named)


def _case(raw: Map, general: Case, folder: Path) -> Case:
    """The case with what `raw` says of it over what holds in general."""
    name = text(raw, "application", general.application)
    if name not in APPLICATIONS:
        raise fail(raw, "application", f"no application '{name}'", mend=f"take one of: {', '.join(APPLICATIONS)}")
    form = _form(raw, general.form)
    try:
        parse_forms(application(name), form)
    except MeshtrailError as error:
        raise fail(raw, "form", error.message, mend=error.mend) from None
    scene = mapping(raw, "scene")
    return dataclasses.replace(
        general,
        targets=_targets(raw, general.targets),
        application=name,
        form=form,
        scene=general.scene if scene is None else _scene(scene, general.scene, folder, name),
    )


def _form(raw: Map, default: tuple[str, ...]) -> tuple[str, ...]:
    found: Any = raw.get("form")
    if found is None:
        return default
    if isinstance(found, str):
        return () if found == FORMS[0] else (found,)
    return tuple(f"{service}={form}" for service, form in choices(raw, "form").items())


def _scene(raw: Map, general: Scene, folder: Path, app: str) -> Scene:
    only(raw, SCENE_FIELDS)
    manifests = texts(raw, "manifests") if "manifests" in raw else general.manifests
    delete = texts(raw, "delete") if "delete" in raw else general.delete
    for field, paths in (("manifests", manifests), ("delete", delete)):
        for path in paths:
            if not (folder / path).exists() and not (field == "delete" and is_reference(path)):
                raise fail(raw, field, f"no file or folder {path} in {folder.name}")
    propagation = choices(raw, "propagation") if "propagation" in raw else dict(general.propagation)
    for service, mode in propagation.items():
        if service not in APPLICATIONS[app].services:
            raise fail(raw, "propagation", f"{app} has no service '{service}'")
        if mode not in MODES:
            raise fail(raw, "propagation", f"no mode '{mode}'", mend=f"take one of: {', '.join(MODES)}")
    restart = texts(raw, "restart") if "restart" in raw else general.restart
    return Scene(manifests, delete, propagation, restart)


def is_reference(text: str) -> bool:
    """Whether it names an object, `Kind/name` or `Kind/namespace/name`, and no path."""
    return text[:1].isupper() and text.count("/") in (1, 2)
