"""The files an Envoy reads, and whether it took them.

Envoy watches the folder of each file and reads again when a file is moved into it; the version in the file then shows
in its statistics, or a rejection is counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshtrail.errors import MeshtrailError
from meshtrail.local.http import Address, request

TAKEN_WITHIN = 10.0
POLL = 0.01


class RejectedError(MeshtrailError):
    """An Envoy refused a configuration; the message holds Envoy's own words."""


@dataclass(frozen=True, slots=True)
class Admin:
    """An Envoy's admin interface on its unix socket."""

    proxy: str
    socket: Path

    async def get(self, path: str) -> str:
        return (await request("GET", Address(socket=self.socket), path)).text()

    async def post(self, path: str) -> str:
        return (await request("POST", Address(socket=self.socket), path)).text()

    async def ready(self) -> bool:
        return (await request("GET", Address(socket=self.socket), "/ready", within=1.0)).status == 200

    async def stats(self, pattern: str) -> dict[str, str]:
        """Statistics whose name matches a regular expression, values as text."""
        lines = (await self.get(f"/stats?filter={pattern}")).splitlines()
        return {name: value.strip().strip('"') for name, _, value in (line.partition(": ") for line in lines)}

    async def reject_reason(self) -> str:
        """What the last refused update lacked, in Envoy's words; empty when nothing was refused."""
        dump = json.loads(await self.get("/config_dump"))
        found: list[tuple[str, str]] = []
        _collect_errors(dump, found)
        return max(found, default=("", ""))[1]


def write_discovery(path: Path, version: str, resources: Sequence[Mapping[str, Any]]) -> None:
    """Move a DiscoveryResponse into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"version_info": version, "resources": list(resources)}))


def write_atomically(path: Path, text: str) -> None:
    # Outside the watched folder, so that Envoy wakes once, for the move.
    staging = path.parent.parent / f".{path.parent.name}-{path.name}.new"
    staging.write_text(text, encoding="utf-8")
    staging.replace(path)


async def wait_taken(admin: Admin, pattern: str, version: str, rejected_before: int) -> None:
    """Wait until every statistic `<pattern>version_text` shows `version`.

    Raises RejectedError when a rejection was counted since `rejected_before`, or nothing happened in TAKEN_WITHIN.
    """
    try:
        async with asyncio.timeout(TAKEN_WITHIN):
            while True:
                stats = await admin.stats(f"{pattern}(version_text|update_rejected)$")
                if rejections(stats) > rejected_before:
                    reason = await admin.reject_reason()
                    raise RejectedError(
                        f"Envoy of {admin.proxy} refused the configuration: {reason or 'no reason given'}"
                    )
                versions = [value for name, value in stats.items() if name.endswith("version_text")]
                if versions and all(value == version for value in versions):
                    return
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise RejectedError(f"Envoy of {admin.proxy} did not take the configuration in {TAKEN_WITHIN:g} s") from None


def rejections(stats: Mapping[str, str]) -> int:
    return sum(int(value) for name, value in stats.items() if name.endswith("update_rejected"))


def _collect_errors(node: Any, found: list[tuple[str, str]]) -> None:
    if isinstance(node, dict):
        error = node.get("error_state")
        if isinstance(error, dict) and error.get("details"):
            found.append((str(error.get("last_update_attempt", "")), str(error["details"])))
        for value in node.values():
            _collect_errors(value, found)
    elif isinstance(node, list):
        for value in node:
            _collect_errors(value, found)
