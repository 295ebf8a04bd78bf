"""What changes a running mesh: the control API's calls, and edits of the files it was read from."""

from __future__ import annotations

import asyncio
import itertools
import traceback
from typing import TYPE_CHECKING, Any

from meshtrail.errors import ManifestError, MeshtrailError, Warnings
from meshtrail.local import objects
from meshtrail.local.control import Handler
from meshtrail.local.keeping import Keeper
from meshtrail.local.rollout import CONNECTIONS_GO, new_listeners
from meshtrail.local.sources import Source, read_sent, read_source
from meshtrail.local.switch import pods_of
from meshtrail.local.watch import Watcher, settle
from meshtrail.manifests import Manifests

if TYPE_CHECKING:
    from meshtrail.local.runtime import LocalMesh

# Seconds that files must stay the same: before they are read, and before what looks half written is believed.
QUIET = 0.03
HALF_WRITTEN = 0.15


def handlers(mesh: LocalMesh) -> dict[tuple[str, str], Handler]:
    """The control API: `(method, first segment of the path)` to what answers."""
    counter = itertools.count()
    keeper = Keeper(mesh)

    def read(body: Any, warnings: Warnings) -> Manifests:
        assert mesh.current is not None
        return read_sent(
            body["documents"],
            folder=mesh.run_folder / f"sent-{next(counter)}",
            namespace=body.get("namespace") or objects.main_namespace(mesh.current.manifests),
            lenient=bool(body.get("lenient")) or mesh.lenient,
            warnings=warnings,
        )

    async def change(body: Any, verb: Any) -> Any:
        warnings = Warnings()
        async with mesh.changing:
            assert mesh.current is not None
            manifests, changes = verb(mesh.current.manifests, read(body, warnings))
            if any(change.verb != "unchanged" for change in changes):
                old = mesh.current.proxies
                new = await mesh.change_to(manifests, lenient=bool(body.get("lenient")))
                for change in changes:
                    mesh.say("apply", str(change))
                noted = [*map(str, warnings.problems), *new.warnings]
                if new_listeners(old, new.proxies):
                    await asyncio.sleep(CONNECTIONS_GO)
            else:
                noted = [str(problem) for problem in warnings.problems]
        return {"changes": [str(change) for change in changes], "warnings": list(dict.fromkeys(noted))}

    async def status(rest: list[str], body: Any) -> Any:
        return mesh.status().as_json()

    async def apply(rest: list[str], body: Any) -> Any:
        return await change(body, objects.apply)

    async def delete(rest: list[str], body: Any) -> Any:
        def take_away(live: Manifests, named: Manifests) -> Any:
            return objects.delete(live, named, (mesh.source.application, mesh.source.manifests))

        return await change(body, take_away)

    async def stop(rest: list[str], body: Any) -> Any:
        mesh.stop_requested.set()
        return {"stopping": True}

    async def config(rest: list[str], body: Any) -> Any:
        return _config(mesh, rest[0] if rest else "")

    async def propagation(rest: list[str], body: Any) -> Any:
        assert mesh.current is not None
        pods = mesh.current.pods
        return {"services": await mesh.switch.show(pods_of(rest[0], pods) if rest else pods)}

    async def set_propagation(rest: list[str], body: Any) -> Any:
        async with mesh.changing:
            assert mesh.current is not None
            service, mode = rest[0] if rest else "", str(body.get("mode"))
            done = await mesh.switch.set(service, mode, mesh.current.pods, mesh.fleet)
        mesh.say("propagation", f"{service} now forwards: {mode}")
        return {"services": done}

    return {
        ("GET", "status"): status,
        ("POST", "apply"): apply,
        ("POST", "delete"): delete,
        ("POST", "stop"): stop,
        ("GET", "config"): config,
        ("GET", "propagation"): propagation,
        ("PUT", "propagation"): set_propagation,
        **keeper.handlers(),
    }


async def follow_files(mesh: LocalMesh, watcher: Watcher) -> None:
    """Carry out edits of the files for as long as the mesh runs. A bad one is said once; the last good one stays."""
    async for _ in watcher.changes():
        try:
            await _reload(mesh)
        except MeshtrailError as error:
            problems = tuple(str(p) for p in error.problems) if isinstance(error, ManifestError) else (str(error),)
            if problems != mesh.problems:
                mesh.problems = problems
                mesh.write_state()
                mesh.say("refused", "edit refused, the last good configuration stays:\n" + "\n".join(problems))
        except Exception as error:  # a defect must not end the following of files: it is logged
            mesh.say("defect", "".join(traceback.format_exception(error)).rstrip())
        watcher.watch(mesh.source.manifests.files())


async def _reload(mesh: LocalMesh) -> None:
    after = await _read_settled(mesh)
    async with mesh.changing:
        assert mesh.current is not None
        manifests, changes = objects.edit(mesh.current.manifests, mesh.source.manifests, after.manifests)
        if changes:
            await mesh.change_to(manifests)
        mesh.source = after
    if changes:
        mesh.say("reload", "reloaded: " + ", ".join(map(str, changes)))
    if mesh.problems:
        mesh.problems = ()
        mesh.write_state()
        if not changes:
            mesh.say("reload", "the manifests are as they run again")


async def _read_settled(mesh: LocalMesh) -> Source:
    """What the files say when nobody is writing them.

    A file that is half written may be broken, or it is fine and lacks objects (it is empty for a moment when an editor
    opens it for writing): both are looked at again before they are believed.
    """
    await settle(lambda: _stamps(mesh), QUIET)
    try:
        after = read_source(mesh.options, Warnings())
        if all(key in after.manifests for key in mesh.source.manifests):
            return after
    except ManifestError:
        pass
    await settle(lambda: _stamps(mesh), HALF_WRITTEN)
    return read_source(mesh.options, Warnings())


def _stamps(mesh: LocalMesh) -> list[tuple[str, int, int]]:
    found = []
    for path in sorted(mesh.source.manifests.files()):
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return found


def _config(mesh: LocalMesh, service: str) -> dict[str, Any]:
    """What was generated for the proxy of a service; `gateway` is the ingress gateway's short name."""
    assert mesh.current is not None
    proxies = mesh.current.proxies
    gateway = next((proxy for proxy in proxies.values() if proxy.kind == "gateway"), None)
    pods = [name for name, pod in mesh.current.pods.items() if pod.pod.workload_key[1] == service]
    found = proxies.get(service) or (gateway if service == "gateway" else None)
    found = found or next((proxies[name] for name in pods if name in proxies), None)
    if found is None:
        if service in mesh.current.pods or pods:
            raise MeshtrailError(
                f"{service} runs without a sidecar", mend="label its Namespace istio-injection: enabled"
            )
        raise MeshtrailError(
            f"no proxy '{service}' in this mesh", mend=f"its proxies: {', '.join([*proxies, 'gateway'])}"
        )
    return {
        "name": found.name,
        "bootstrap": found.bootstrap,
        "listeners": found.listeners,
        "routes": list(found.routes.values()),
        "clusters": found.clusters,
    }
