"""Brings running Envoys from one configuration to another without losing a request: make before break.

Every proxy first takes the clusters of both, then routes and listeners, and only then are the clusters that nothing
uses any more taken away. When one Envoy refuses, all get their previous files back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from meshtrail.envoy import ProxyConfig
from meshtrail.local.envoy_files import Admin, RejectedError, rejections_now, wait_taken, write_atomically

CLUSTERS = "cds.json"
LISTENERS = "lds.json"

# Seconds after which a service lets go of a connection that it does not use (services/common: keepalive_expiry), and a
# little. Until then its next request would meet the listener that was.
CONNECTIONS_GO = 1.1


@dataclass(frozen=True, slots=True)
class Places:
    """Where a mesh keeps its files: `run` for sockets and what Envoys read, gone with the mesh; `logs`, which stay."""

    run: Path
    logs: Path


def process_name(proxy: ProxyConfig) -> str:
    return proxy.name if proxy.kind == "gateway" else f"{proxy.name}-sidecar"


def admin(places: Places, proxy: ProxyConfig) -> Admin:
    return Admin(proxy.name, places.run / proxy.name / "admin.sock", places.logs / f"{process_name(proxy)}.log")


def files(proxy: ProxyConfig) -> dict[str, str]:
    """The watched files with a version in each, by which Envoy tells what it has taken."""
    return {name: _versioned(text) for name, text in proxy.files().items()}


def write_all(proxy: ProxyConfig, run_folder: Path) -> None:
    """The files of a proxy that is about to start, `bootstrap.json` included."""
    folder = run_folder / proxy.name
    (folder / "rds").mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "bootstrap.json", json.dumps(proxy.bootstrap))
    for name, text in files(proxy).items():
        write_atomically(folder / name, text)


def closed(proxy: ProxyConfig) -> ProxyConfig:
    """The same proxy with no listener: nobody can reach it."""
    return replace(proxy, listeners=[])


async def roll_out(old: Mapping[str, ProxyConfig], new: Mapping[str, ProxyConfig], places: Places) -> list[str]:
    """Bring the proxies that are in both from `old` to `new`; returns the names of those that changed.

    Raises RejectedError when an Envoy refuses; then all serve `old` again.
    """
    changed = [name for name in new if name in old and files(old[name]) != files(new[name])]
    try:
        await _each(changed, lambda name: _take(name, old[name], _both(old[name], new[name]), places, [CLUSTERS]))
        await _each(changed, lambda name: _take(name, old[name], new[name], places, None))
        await _each(changed, lambda name: _take(name, _both(old[name], new[name]), new[name], places, [CLUSTERS]))
    except RejectedError:
        for name in changed:
            before, both = old[name], _both(old[name], new[name])
            with contextlib.suppress(RejectedError, OSError):
                # The refused clusters go first: Envoy takes an update whole or not at all.
                await _take(name, both, before, places, None, force=True)
                await _take(name, both, before, places, [CLUSTERS], force=True)
        raise
    return changed


def new_listeners(old: Mapping[str, ProxyConfig], new: Mapping[str, ProxyConfig]) -> bool:
    """Whether a proxy that is in both got other listeners: open connections keep those that were."""
    return any(new[name].listeners != old[name].listeners for name in new if name in old)


async def _each(names: Iterable[str], act: Callable[[str], Awaitable[None]]) -> None:
    results = await asyncio.gather(*(act(name) for name in names), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _take(
    name: str, old: ProxyConfig, new: ProxyConfig, places: Places, only: list[str] | None, *, force: bool = False
) -> None:
    """Write what differs (clusters only, or all else) and wait until the Envoy took it."""
    proxy, folder = admin(places, new), places.run / name
    before, after = files(old), files(new)
    wanted = only or [file for file in after if file != CLUSTERS]
    written = [file for file in wanted if force or before.get(file) != after[file]]
    if not written:
        return
    rejected = {file: await rejections_now(proxy, _statistic(file)) for file in written}
    size = proxy.log_size()
    for file in written:
        write_atomically(folder / file, after[file])
    for file in written:
        await wait_taken(
            proxy, _statistic(file), _version(after[file]), rejected[file], must_exist=file == LISTENERS, log_start=size
        )


def _both(old: ProxyConfig, new: ProxyConfig) -> ProxyConfig:
    names = {cluster["name"] for cluster in new.clusters}
    return replace(new, clusters=[*new.clusters, *(c for c in old.clusters if c["name"] not in names)])


def _statistic(file: str) -> str:
    """A regular expression for the start of the names of the statistics that tell about a file."""
    if file == CLUSTERS:
        return r"^cluster_manager\.cds\."
    if file == LISTENERS:
        return r"^listener_manager\.lds\."
    # In statistics a colon becomes an underscore.
    route = re.escape(file.removeprefix("rds/").removesuffix(".json")).replace(":", "_")
    return rf"^http\..*\.rds\.{route}\."


def _versioned(text: str) -> str:
    version = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    assert text.startswith("{")
    return f'{{"version_info":"{version}",{text[1:]}'


def _version(text: str) -> str:
    return text.split('"', 4)[3]
