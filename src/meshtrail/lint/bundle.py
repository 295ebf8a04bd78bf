"""Objects that are applied together, and how they find one another.

A rule accuses only of what can be known: that a Service is missing when Services of its namespace are there, that a
sidecar is missing when the Namespace is there. What another bundle of the same run has counts as being there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal

from meshtrail.lint.meshconfig import ROOT, Mesh, meshes
from meshtrail.lint.objects import Object, sequence, text
from meshtrail.lint.workload import PROXY, Workload, workload

Membership = Literal["sidecar", "ambient", "out", "unknown"]

INJECT = "sidecar.istio.io/inject"
REVISION = "istio.io/rev"
AMBIENT = "istio.io/dataplane-mode"
SYSTEM = frozenset({"kube-system", "kube-public", "kube-node-lease", ROOT})
"""Namespaces that Istio does not inject into unless they are labelled."""


class Index:
    """Objects by kind and name."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self.objects = tuple(objects)

    def of(self, kind: str, *groups: str) -> list[Object]:
        """All objects of a kind; with `groups` only those of an API group that ends so."""
        return [one for one in self._by_kind.get(kind, ()) if not groups or one.group.endswith(groups)]

    @cached_property
    def _by_kind(self) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for one in self.objects:
            found.setdefault(one.kind, []).append(one)
        return found

    @cached_property
    def services(self) -> dict[str, dict[str, list[Object]]]:
        """By namespace and name; several when a run has several versions of one."""
        found: dict[str, dict[str, list[Object]]] = {}
        for one in self.of("Service"):
            if one.group == "":
                found.setdefault(one.namespace, {}).setdefault(one.name, []).append(one)
        return found

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        return tuple(found for one in self.objects if (found := workload(one)) is not None)

    @cached_property
    def populated(self) -> frozenset[str]:
        """The namespaces that have workloads here."""
        return frozenset(one.object.namespace for one in self.workloads)

    @cached_property
    def namespaces(self) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for one in self.of("Namespace"):
            found.setdefault(one.name, []).append(one)
        return found

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """The hosts of ServiceEntries."""
        return tuple(
            text(host) for one in self.of("ServiceEntry", "istio.io") for host in sequence(one.get("spec", "hosts"))
        )

    @cached_property
    def meshes(self) -> tuple[Mesh, ...]:
        return meshes(self.objects)


class Bundle:
    """`own` is what is applied together, `all` everything of the run."""

    def __init__(self, own: Index, everything: Index) -> None:
        self.own, self.all = own, everything

    def of(self, kind: str, *groups: str) -> list[Object]:
        return self.own.of(kind, *groups)

    @property
    def workloads(self) -> tuple[Workload, ...]:
        return self.own.workloads

    @property
    def meshes(self) -> tuple[Mesh, ...]:
        """There is one mesh configuration in a cluster: that of any bundle holds for all of them."""
        return self.own.meshes or self.all.meshes

    @cached_property
    def root(self) -> str:
        return self.meshes[0].root if self.meshes else ROOT

    # ------------------------------------------------------------------------------------------- services

    def service(self, name: str, namespace: str) -> list[Object]:
        """The Services of that name; one without a namespace may be meant for any."""
        for index in (self.own, self.all):
            found = index.services.get(namespace, {}).get(name) or index.services.get("", {}).get(name)
            if found:
                return found
        return []

    def knows_services(self, namespace: str) -> list[str]:
        """The names of the Services of a namespace; empty when too little of it is here to say that one is missing.

        Its application has to be there, Services and workloads: routing objects often bring a Service or two of their
        own. What has no namespace is known in its own bundle only.
        """
        for index in (self.own, self.all) if namespace else (self.own,):
            if namespace in index.services and namespace in index.populated:
                return list(index.services[namespace])
        return []

    def has_entry(self, host: str) -> bool:
        """Whether a ServiceEntry has that host."""
        return any(
            entry == host or entry == "*" or (entry.startswith("*.") and host.endswith(entry[1:]))
            for entry in self.all.entries
        )

    def selected(self, service: Object) -> list[Workload]:
        """The workloads whose pods a Service selects."""
        selector = service.get("spec", "selector")
        wanted = {str(key): str(value) for key, value in selector.items()} if isinstance(selector, Mapping) else {}
        if not wanted:
            return []
        for index in (self.own, self.all):
            found = [
                one
                for one in index.workloads
                if one.object.namespace == service.namespace and selects(wanted, one.labels)
            ]
            if found:
                return found
        return []

    def services_of(self, one: Workload) -> Iterator[Object]:
        for named in self.own.services.get(one.object.namespace, {}).values():
            for service in named:
                if any(other is one for other in self.selected(service)):
                    yield service

    # ----------------------------------------------------------------------------------------- membership

    def membership(self, one: Workload) -> Membership:
        """Whether the pods get a sidecar; `unknown` when their Namespace is not in the manifests."""
        if one.spec("hostNetwork") is True:
            return "out"
        said = one.labels.get(INJECT, one.annotations.get(INJECT, "")).lower()
        if said == "false":
            return "out"
        if said == "true" or any(container.name == PROXY for container in one.containers):
            return "sidecar"
        return self.namespace_membership(one.object.namespace, one.labels)

    def namespace_membership(self, name: str, pod_labels: Mapping[str, str] | None = None) -> Membership:
        found = self.own.namespaces.get(name) or self.all.namespaces.get(name) or []
        pod = pod_labels or {}
        for one in found:
            labels = one.labels
            injection = labels.get("istio-injection", "").lower()
            if injection == "enabled":
                return "sidecar"
            if injection == "disabled":
                continue
            if labels.get(REVISION) or pod.get(REVISION):
                return "sidecar"
            if labels.get(AMBIENT) == "ambient":
                return "ambient"
        if pod.get(REVISION) and not found:
            return "sidecar"
        return "out" if found or name in SYSTEM else "unknown"

    def service_membership(self, service: Object) -> Membership:
        """That of the pods behind a Service: a sidecar, if any of them has one."""
        found = {self.membership(one) for one in self.selected(service)}
        for wanted in ("sidecar", "ambient", "unknown", "out"):
            if wanted in found:
                return wanted
        return self.namespace_membership(service.namespace)


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())
