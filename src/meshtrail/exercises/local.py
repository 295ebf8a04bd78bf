"""Exercises on the local mesh."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from meshtrail.errors import MeshtrailError
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.place import Before, Object, Say
from meshtrail.exercises.settings import Case, Scene, Target, is_reference
from meshtrail.local import control, session, state
from meshtrail.local.applications import application, parse_forms, parse_languages
from meshtrail.local.options import MeshOptions

LABEL = "exercise"
LATE_S = 2.0
QUIET_S = 0.5
"""Envoy hands spans over every 0.1 s, an SDK every 0.2 s; the rest is a slow laptop."""


class LocalPlace:
    """The mesh of that name; `auto_ports` for one that has to be started."""

    target: Target = "local"
    late_s = LATE_S
    quiet_s = QUIET_S
    host = ""

    def __init__(self, name: str, *, auto_ports: bool, root: Path, phrases: Phrases) -> None:
        self._name = name
        self._auto_ports = auto_ports
        self._root = root
        self._phrases = phrases

    @property
    def key(self) -> str:
        return f"local-{self._name}"

    @property
    def environment(self) -> Mapping[str, str]:
        return {"MESHTRAIL_TARGET": "local", "MESHTRAIL_NAME": self._name}

    @property
    def application(self) -> str:
        return self._mesh().application

    @property
    def gateway(self) -> str:
        return self._mesh().gateway

    @property
    def jaeger(self) -> str:
        return self._mesh().jaeger

    @property
    def namespace(self) -> str:
        names = [str(one["metadata"]["namespace"]) for one in self.objects("Deployment")]
        return max(names, key=names.count, default="default")

    def now_us(self) -> int:
        return int(time.time() * 1_000_000)

    def services(self, known: Sequence[str]) -> None:
        return None

    def objects(self, kind: str) -> list[Object]:
        found: list[Object] = self._call("GET", "/objects")["objects"]
        return [one for one in found if one["kind"] == kind]

    def object(self, kind: str, name: str, namespace: str | None) -> Object | None:
        place = namespace or self.namespace
        for one in self.objects(kind):
            meta = one["metadata"]
            if meta["name"] == name and meta.get("namespace", place) == place:
                return one
        return None

    def propagation(self) -> dict[str, str]:
        return dict(self._call("GET", "/propagation")["services"])

    def prepare(
        self,
        case: Case,
        touched: Sequence[str],
        remember: Callable[[Before], None],
        say: Say,
        inherited: Before | None,
    ) -> None:
        wanted = MeshOptions.of(
            application_name=case.application,
            form=case.form,
            auto_ports=self._auto_ports,
            name=self._name,
            root=self._root,
        )
        hand = None if inherited is None else inherited["hand"]
        running = self._running()
        if running is None:
            remember({"hand": None, "options": dataclasses.asdict(wanted)})
            say(self._phrases.starting(case.application, case.form))
            up(wanted)
        else:
            options = self._options()
            if serves(options, wanted):
                wanted = options
            else:
                if inherited is None:
                    hand = dataclasses.asdict(options)
                    say(self._phrases.replacing(self._name, described(options)))
                # Who has an address open in a browser keeps it.
                wanted = dataclasses.replace(wanted, ports=options.ports)
                remember({"hand": hand, "options": dataclasses.asdict(wanted)})
                say(self._phrases.starting(case.application, case.form))
                session.stop(running)
                up(wanted)
        remember({"hand": hand, "options": dataclasses.asdict(wanted)})
        self._call("POST", "/keep", {"label": LABEL})

    def lay(self, folder: Path, scene: Scene, say: Say) -> None:
        if scene.delete:
            self._call("POST", "/delete", {"documents": [self._named(folder, one) for one in scene.delete]})
        if scene.manifests:
            documents = [document(folder / one) for one in scene.manifests]
            # What a cluster would take without a word, and then not carry out, is what some exercises are about.
            self._call("POST", "/apply", {"documents": documents, "lenient": True})
        for service, mode in scene.propagation.items():
            self._call("PUT", f"/propagation/{service}", {"mode": mode})

    def give_back(self, before: Before, say: Say, *, lasting: bool) -> None:
        running = self._running()
        if running is None:
            say(self._phrases.gone(self._name))
            return
        goal = MeshOptions.from_json(json.dumps(before["hand"] or before["options"]))
        if lasting and same_mesh(self._options(), goal) is False:
            say(self._phrases.back_to(described(goal)))
            session.stop(running)
            up(goal)
        else:
            self._call("POST", "/restore", {"label": LABEL})

    def _named(self, folder: Path, text: str) -> dict[str, str]:
        """A file or folder to delete, or an object by name as the document that names it."""
        if not is_reference(text):
            return document(folder / text)
        kind, *place, name = text.split("/")
        found = self.object(kind, name, place[0] if place else None)
        if found is None:
            raise MeshtrailError(f"{text} is not in the mesh '{self._name}'", mend="meshtrail down, and start again")
        return {"name": text, "text": json.dumps(found)}

    def _options(self) -> MeshOptions:
        return MeshOptions.from_json(json.dumps(self._call("GET", "/options")["options"]))

    def _running(self) -> state.RunningMesh | None:
        try:
            return self._mesh()
        except state.NoMeshError:
            return None

    def _mesh(self) -> state.RunningMesh:
        return state.load(self._name)

    def _call(self, method: str, path: str, content: Any = None) -> Any:
        return control.call(self._mesh(), method, path, content)


def up(options: MeshOptions) -> None:
    """Raises MeshtrailError; for busy ports with what mends them here, where no option names a port."""
    try:
        session.detach(options)
    except MeshtrailError as error:
        if "already in use" not in error.message:
            raise
        mend = "end what uses them, or `export MESHTRAIL_PORTS=auto`: every command heeds it"
        raise MeshtrailError(error.message, mend=mend) from error


def document(path: Path) -> dict[str, str]:
    if path.is_dir():
        return {"name": str(path), "path": str(path.resolve())}
    return {"name": str(path), "text": path.read_text(encoding="utf-8")}


def serves(running: MeshOptions, wanted: MeshOptions) -> bool:
    """Whether the exercise can use the mesh that runs: same application, forms and languages, nothing laid over."""
    return meant(running) == meant(wanted) and running.root == wanted.root and not running.files


def same_mesh(one: MeshOptions, other: MeshOptions) -> bool:
    return meant(one) == meant(other) and (one.root, one.files) == (other.root, other.files)


def meant(options: MeshOptions) -> tuple[str, dict[str, str], dict[str, str]]:
    app = application(options.application)
    return app.name, parse_forms(app, options.form), parse_languages(app, options.lang)


def described(options: MeshOptions) -> str:
    """As `meshtrail up` takes it."""
    words = [options.application]
    words += [f"--form {form}" for form in options.form]
    words += [f"--lang {lang}" for lang in options.lang]
    words += [f"-f {file}" for file in options.files]
    return " ".join(words)
