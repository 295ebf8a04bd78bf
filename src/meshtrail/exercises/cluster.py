"""Exercises on a cluster, in the namespace of the command."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from meshtrail.cluster import applying, keeping, propagation, traces
from meshtrail.cluster.application import PART_OF
from meshtrail.cluster.http import ask
from meshtrail.cluster.kubectl import ClusterError, Kubectl, connect
from meshtrail.cluster.moving import moved
from meshtrail.cluster.objects import labels
from meshtrail.cluster.routes import entrances, entry_service
from meshtrail.cluster.session import Gateway, Session, Where, opened
from meshtrail.cluster.snapshot import ROOT as MESH_NAMESPACE
from meshtrail.cluster.traces import LATE_S, SOON_S
from meshtrail.errors import MeshtrailError
from meshtrail.exercises.local import document
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.place import Before, Object, Say
from meshtrail.exercises.settings import Case, Scene, Target, is_reference
from meshtrail.local.applications import APPLICATIONS, application, parse_forms

ANSWERS_WITHIN_S = 45.0


class ClusterPlace:
    """A context manager: what it opens on the way to the cluster is closed at its end."""

    target: Target = "cluster"
    late_s = LATE_S

    def __init__(self, where: Where, *, root: Path, phrases: Phrases) -> None:
        self._where = where
        self._root = root
        self._phrases = phrases
        self._stack = ExitStack()
        self._opened: Session | None = None

    def __enter__(self) -> ClusterPlace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def _kubectl(self) -> Kubectl:
        return connect(self._where.context)

    @property
    def _session(self) -> Session:
        if self._opened is None:
            self._opened = self._stack.enter_context(opened(self._where))
        return self._opened

    def _forget(self) -> None:
        """The cluster has changed: look again."""
        self._stack.close()
        self._opened = None
        for name in ("_gateway", "jaeger"):
            self.__dict__.pop(name, None)

    @property
    def where(self) -> Where:
        return self._where

    @property
    def quiet_s(self) -> float:
        return SOON_S if traces.prompt(self._session.snapshot) else LATE_S

    @property
    def key(self) -> str:
        return f"cluster-{self._kubectl.context}-{self.namespace}"

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "MESHTRAIL_TARGET": "cluster",
            "MESHTRAIL_NAMESPACE": self.namespace,
            "MESHTRAIL_CONTEXT": self._kubectl.context,
        }

    @property
    def application(self) -> str:
        return self._session.application.name

    @property
    def namespace(self) -> str:
        return self._where.namespace

    @cached_property
    def _gateway(self) -> Gateway:
        return self._session.gateway()

    @property
    def gateway(self) -> str:
        return self._gateway.reached.url

    @property
    def host(self) -> str:
        return self._gateway.host

    @cached_property
    def jaeger(self) -> str:
        return self._session.jaeger().url

    def now_us(self) -> int:
        return traces.now_us(self.jaeger)

    def services(self, known: Sequence[str]) -> tuple[str, ...]:
        gateways = [entry_service(way) for way in entrances(self._session.snapshot)]
        own = [name for name in known if name.endswith(f".{self.namespace}")]
        # An SDK names its service without the namespace.
        sdk = [name for name in known if name in application(self.application).services]
        return tuple(dict.fromkeys([*own, *sdk, *(name for name in gateways if name in known)]))

    def objects(self, kind: str) -> list[Object]:
        name = keeping.resource(kind)
        found: list[Object] = []
        for place in dict.fromkeys((self.namespace, MESH_NAMESPACE)):
            part, denied = self._kubectl.objects([name], namespace=place)
            found += [dict(one) for one in part]
            if denied and place == self.namespace:
                raise ClusterError(f"kubectl may not list {name} in namespace {place}", mend="ask for the right")
            if kind == "Namespace":
                break
        return found

    def object(self, kind: str, name: str, namespace: str | None) -> Object | None:
        place = "" if kind == "Namespace" else namespace or self.namespace
        return keeping.get(self._kubectl, kind, place, name)

    def propagation(self) -> dict[str, str]:
        """By service; pods of one that differ are told apart."""
        found = {}
        for service, modes in propagation.show(self._session).items():
            distinct = dict.fromkeys(modes.values())
            found[service] = next(iter(distinct)) if len(distinct) == 1 else ", ".join(distinct)
        return found

    def prepare(
        self,
        case: Case,
        touched: Sequence[str],
        remember: Callable[[Before], None],
        say: Say,
        inherited: Before | None,
    ) -> None:
        before = keeping.snapshot(self._kubectl, self.namespace, touched)
        there = [one for one in before if one["kind"] in ("Deployment", "StatefulSet")]
        kept: dict[str, Any] = {"touched": list(touched), "objects": before, "modes": {}}
        if there:
            kept["modes"] = self._modes()
        else:
            # Nothing was there to give back: what is deployed now stays, as a local mesh does.
            kept["objects"] = None
        remember(kept)
        self._remove_others(case.application, there, say)
        say(self._phrases("applying", what=" ".join([case.application, *case.form]), namespace=self.namespace))
        applying.apply(self._kubectl, moved(self._built(case), self.namespace))
        self._forget()
        if not there:
            kept["objects"] = keeping.snapshot(self._kubectl, self.namespace, touched)
            remember(kept)
        for service, mode in self._modes().items():
            if mode != "all":
                propagation.switch(self._session, service, "all")
        self._until_it_answers()

    def lay(self, folder: Path, scene: Scene, say: Say) -> None:
        deleted = [found for one in scene.delete for found in self._named(folder, one)]
        if deleted:
            applying.delete(self._kubectl, deleted)
        if scene.manifests:
            documents = [document(folder / one) for one in scene.manifests]
            applying.apply(self._kubectl, applying.read(self._kubectl, documents, self.namespace))
        for name in scene.restart:
            self._kubectl.run("-n", self.namespace, "rollout", "restart", f"deployment/{name}")
        for name in scene.restart:
            applying.rolled_out(self._kubectl, self.namespace, f"deployment/{name}")
        if deleted or scene.manifests or scene.restart:
            self._forget()
        for service, mode in scene.propagation.items():
            propagation.switch(self._session, service, mode)

    def give_back(self, before: Before, say: Say, *, lasting: bool) -> None:
        if before["objects"] is not None:
            changed = keeping.give_back(self._kubectl, self.namespace, before["objects"], before["touched"])
            if changed:
                self._forget()
        now = self._modes()
        for service, mode in now.items():
            wanted = before["modes"].get(service, "all")
            if mode != wanted and "," not in wanted:
                propagation.switch(self._session, service, wanted)

    def _modes(self) -> dict[str, str]:
        """The propagation modes; none where nothing can be switched."""
        try:
            return self.propagation()
        except ClusterError:
            return {}

    def _remove_others(self, wanted: str, there: Sequence[Object], say: Say) -> None:
        """Take away another application of ours: both would want the gateway's requests."""
        others = {labels(one).get(PART_OF) for one in there} & set(APPLICATIONS) - {wanted}
        for name in sorted(str(other) for other in others):
            say(self._phrases("removing", what=name, namespace=self.namespace))
            base = application(name)
            built = moved(self._kustomized(base.overlay, ()), self.namespace)
            applying.send(
                self._kubectl, "delete", [one for one in built if one["kind"] != "Namespace"], "--ignore-not-found"
            )

    def _built(self, case: Case) -> list[Any]:
        app = application(case.application)
        languages = {service: names[0] for service, names in app.languages.items()}
        return self._kustomized(app.overlay, app.components(parse_forms(app, case.form), languages))

    def _kustomized(self, overlay: str, components: Sequence[str]) -> list[Any]:
        """kustomize takes components of a kustomization only: one is written for the time of the build."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()

            def relative(path: str) -> str:
                return os.path.relpath(self._root.resolve() / path, folder)

            text = {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [relative(overlay)],
                "components": [relative(one) for one in components],
            }
            (folder / "kustomization.yaml").write_text(json.dumps(text), encoding="utf-8")
            return applying.read(self._kubectl, [{"name": overlay, "path": str(folder)}], "meshtrail")

    def _named(self, folder: Path, text: str) -> list[Any]:
        if not is_reference(text):
            return applying.read(self._kubectl, [document(folder / text)], self.namespace)
        kind, *place, name = text.split("/")
        found = self.object(kind, name, place[0] if place else None)
        if found is None:
            raise ClusterError(f"{text} is not in namespace {self.namespace}", mend="meshtrail exercise reset")
        return [keeping.plain(found)]

    def _until_it_answers(self) -> None:
        """istiod tells the gateway of new routes a moment after the pods are ready."""
        app = application(self._session.application.name)
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while True:
            try:
                answer = ask(self.gateway + app.path, host=self.host, within=5.0)
                if answer is not None and answer.status == 200:
                    return
                seen = "nothing" if answer is None else f"status {answer.status}"
            except ClusterError as error:
                seen = error.message
                self._forget()
            if time.monotonic() > deadline:
                raise MeshtrailError(
                    f"the gateway does not lead to {app.name} in namespace {self.namespace}: {seen}",
                    mend=f"see `meshtrail preflight --namespace {self.namespace}`",
                )
            time.sleep(0.5)
