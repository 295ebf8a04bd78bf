"""An application on the cluster that kubectl points at: its form, what is laid over it, its switches and gateways."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import httpx
import yaml
from tests.cluster.support import forwarded, gateway_address, get, kubectl, run
from tests.parity.asking import GATEWAY_API, Key, Object, keyed
from tests.parity.situations import INGRESS, Application
from tests.support.documents import documents
from tests.support.mesh import ROOT, eventually

from meshtrail.local.applications import application as of_product

CHANGES_LISTENERS = {"Telemetry", "EnvoyFilter", "Service", "AuthorizationPolicy", "PeerAuthentication"}
"""Kinds that change listeners: open connections keep the old one for 45 s, so the pods are restarted."""
ROLLOUT = 180.0
SPANS_LEAVE = 5.5
"""Envoy hands its spans over every 5 s, and does not when it ends."""


class Deployed:
    """Entering needs the namespace to be free; leaving deletes it and gives the mesh its own configuration back."""

    def __init__(self, application: Application, say: Callable[[str], None]) -> None:
        self.application = application
        self.namespace = application.namespace
        self._say = say
        self._product = of_product(application.name)
        # What kustomize does not build is the installation, which is there already.
        self._paths = [path for path in self._product.manifests if not path.endswith(".yaml")]
        self._base: dict[Key, Object] = {}
        self._laid: dict[Key, Object] = {}
        self._versions: tuple[str, ...] = ()
        self._stale = False
        self._modes: dict[str, str] = {}
        self._forwards = ExitStack()
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Deployed:
        if not run("get", "namespace", self.namespace).returncode:
            raise SystemExit(f"namespace {self.namespace} is there already: end what runs in it, and delete it")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_pods()
        outside = [one for key, one in self._laid.items() if key[1] != self.namespace and key not in self._base]
        if outside:
            kubectl("delete", "--ignore-not-found", "-f", "-", input=yaml.safe_dump_all(outside))
        kubectl("delete", "namespace", self.namespace, "--ignore-not-found", timeout=ROLLOUT)
        for path in self._paths:
            if not path.startswith("k8s/"):
                kubectl("apply", "-k", path)

    def form(self, otel: Iterable[str], languages: Mapping[str, str]) -> None:
        """Deploy the application with these services in the otel form, these languages, and nothing laid over it."""
        components = self._product.components(dict.fromkeys(otel, "otel"), languages)
        self._base = keyed(_small(one) for path in self._paths for one in _build(path, components))
        self._say(f"form: {', '.join(otel) or 'plain'} {', '.join(map('='.join, languages.items()))}")
        gone = [key for key in self._laid if key not in self._base]
        self._delete(gone)
        self._laid, self._versions, self._stale = {}, (), False
        _apply(self._base.values())
        self._wait()

    def lay(self, texts: Mapping[str, str]) -> bool:
        """Make these manifests, and no others, lie over the application. Whether anything changed."""
        wanted = keyed(one for text in texts.values() for one in documents(text))
        if wanted == self._laid and not self._stale:
            return False
        gone = [key for key in self._laid if key not in wanted]
        changed = {key: one for key, one in wanted.items() if self._stale or self._laid.get(key) != one}
        kinds = {key[0] for key in (*gone, *changed)}
        if kinds & (CHANGES_LISTENERS | {"Deployment"}):
            time.sleep(SPANS_LEAVE)
        self._delete(key for key in gone if key not in self._base)
        _apply([*(self._base[key] for key in gone if key in self._base), *changed.values()])
        self._laid, self._stale = wanted, False
        self._versions = self._read_versions()
        if kinds & CHANGES_LISTENERS:
            kubectl("-n", self.namespace, "rollout", "restart", "deployments")
        gateway = f"Gateway.{GATEWAY_API}"
        for kind, _, name in wanted:
            if kind == gateway:
                self._wait_for(f"deployment/{name}-istio")
        if kinds & (CHANGES_LISTENERS | {"Deployment", gateway}):
            self._wait()
        return True

    def holds(self) -> bool:
        """Whether nobody wrote over what was laid; if somebody did, the next `lay` starts anew."""
        if self._read_versions() == self._versions:
            return True
        self._stale = True
        return False

    def _read_versions(self) -> tuple[str, ...]:
        """The versions of what was laid outside of the application's namespace, where others work too."""
        shared = [key for key in self._laid if key[1] != self.namespace]
        return tuple(
            get(f"{kind}/{name}", "-n", namespace)["metadata"]["resourceVersion"] for kind, namespace, name in shared
        )

    def switch(self, modes: Mapping[str, str]) -> None:
        """Set what services forward; those that are not named forward everything."""
        for service in sorted({*modes, *self._modes}):
            mode = modes.get(service, "all")
            if self._modes.get(service, "all") != mode:
                for version in self._versions_of(service):
                    url = f"http://127.0.0.1:{self._forward(version, 8090)}/propagation"
                    httpx.put(url, json={"mode": mode}, trust_env=False, timeout=10).raise_for_status()
                self._modes[service] = mode

    def gateway(self, name: str) -> tuple[str, int]:
        """Where port 80 of a gateway is: the ingress gateway, or the Gateway API's in the application's namespace."""
        if name == INGRESS:
            return gateway_address()
        service = get("service", name, "-n", self.namespace)
        for one in service["status"]["loadBalancer"].get("ingress") or []:
            return one.get("ip") or one["hostname"], 80
        return "127.0.0.1", self._forward(f"service/{name}", 80)

    def _versions_of(self, service: str) -> list[str]:
        """The Deployments of a service, as kubectl names them."""
        found = kubectl("-n", self.namespace, "get", "deployments", "-l", f"app={service}", "-o", "name").split()
        assert found, f"no Deployment of {service}"
        return found

    def _forward(self, target: str, port: int) -> int:
        if target not in self._ports:
            self._ports[target] = self._forwards.enter_context(forwarded(self.namespace, target, port))
        return self._ports[target]

    def _wait(self) -> None:
        """New pods: their switches are as their manifests say, and forwarded ports lead nowhere."""
        self._forget_pods()
        for one in kubectl("-n", self.namespace, "get", "deployments", "-o", "name").split():
            kubectl("-n", self.namespace, "rollout", "status", one, f"--timeout={ROLLOUT:g}s", timeout=ROLLOUT + 10)

    def _wait_for(self, name: str) -> None:
        """Until an object is there that somebody else makes."""
        eventually(lambda: not run("-n", self.namespace, "get", name).returncode, within=30, what=name)

    def _forget_pods(self) -> None:
        self._forwards.close()
        self._ports, self._modes = {}, {}

    def _delete(self, keys: Iterable[Key]) -> None:
        gone = [self._laid[key] for key in keys]
        if gone:
            kubectl("delete", "--ignore-not-found", "-f", "-", input=yaml.safe_dump_all(gone), timeout=ROLLOUT)


def _apply(objects: Iterable[Object]) -> None:
    ordered = sorted(objects, key=lambda one: one["kind"] != "Namespace")
    if ordered:
        kubectl("apply", "-f", "-", input=yaml.safe_dump_all(ordered), timeout=ROLLOUT)


def _small(one: Object) -> Object:
    """Without a request for processor time, so that old and new pods fit into a full node side by side."""
    if one["kind"] == "Deployment":
        for container in one["spec"]["template"]["spec"]["containers"]:
            container.get("resources", {}).get("requests", {}).pop("cpu", None)
    return one


def _build(path: str, components: Iterable[str]) -> list[Object]:
    """A kustomization of the repository; those of the application with `components` over it."""
    with tempfile.TemporaryDirectory() as folder:
        if path.startswith("k8s/"):

            def reach(inside: str) -> str:
                return os.path.relpath(ROOT / inside, Path(folder).resolve())

            content = {"resources": [reach(path)], "components": [reach(one) for one in components]}
            (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(content))
            built = kubectl("kustomize", folder)
        else:
            built = kubectl("kustomize", path)
    return documents(built)
