"""The files an Envoy reads, and whether it took them.

Envoy watches the folder of each file and reads again when a file is moved into it; the version in the file then shows
in its statistics, or a rejection is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from meshtrail.errors import MeshtrailError
from meshtrail.local import logs
from meshtrail.local.http import Address, request

TAKEN_WITHIN = 10.0
POLL = 0.01


class RejectedError(MeshtrailError):
    """An Envoy refused a configuration; the message holds Envoy's own words."""


@dataclass(frozen=True, slots=True)
class Admin:
    """An Envoy's admin interface on its unix socket, and its log, which alone says why it refused a file."""

    proxy: str
    socket: Path
    log: Path

    async def get(self, path: str) -> str:
        return (await request("GET", Address(socket=self.socket), path)).text()

    async def post(self, path: str) -> str:
        return (await request("POST", Address(socket=self.socket), path)).text()

    async def ready(self) -> bool:
        return (await request("GET", Address(socket=self.socket), "/ready", within=1.0)).status == 200

    async def stats(self, pattern: str) -> dict[str, str]:
        """Statistics whose name matches a regular expression, values as text."""
        lines = (await self.get(f"/stats?filter={quote(pattern)}")).splitlines()
        return {name: value.strip().strip('"') for name, _, value in (line.partition(": ") for line in lines)}

    async def requests_in_flight(self) -> int:
        """Requests that came through its listeners and are not answered yet."""
        found = await self.stats(r"^http\..*\.downstream_rq_active$")
        return sum(int(value) for name, value in found.items() if not name.startswith("http.admin."))

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def reject_reason(self, since: int) -> str:
        """What its log says about the last update that it refused, after byte `since`."""
        for line in reversed(logs.last_lines(self.log, 50, since=since).splitlines()):
            _, sign, reason = line.partition(" update rejected: ")
            if sign:
                return reason
        return f"see {self.log}"


def write_atomically(path: Path, text: str) -> None:
    """Move a file into place: whoever reads it sees the old one or the new one, whole."""
    # Outside the watched folder, so that Envoy wakes once, for the move.
    staging = path.parent.parent / f".{path.parent.name}-{path.name}.new"
    staging.write_text(text, encoding="utf-8")
    staging.replace(path)


async def wait_taken(
    admin: Admin, pattern: str, version: str, rejected_before: int, *, must_exist: bool, log_start: int
) -> None:
    """Wait until the statistic `<pattern>version_text` shows `version`, and nothing is warming any more.

    `must_exist` False: nobody may have asked for that file, then there is no such statistic and nothing to wait for.
    Raises RejectedError when a rejection was counted since `rejected_before`, or nothing happened in TAKEN_WITHIN.
    """
    wanted = f"{pattern}(version_text|update_rejected)$|^cluster_manager.warming_clusters$|total_listeners_warming$"
    try:
        async with asyncio.timeout(TAKEN_WITHIN):
            while True:
                try:
                    stats = await admin.stats(wanted)
                except OSError:
                    stats = {}  # it is being started again, and reads the files that lie there when it starts
                if rejections(stats) > rejected_before:
                    reason = admin.reject_reason(log_start)
                    raise RejectedError(f"Envoy of {admin.proxy} refused the configuration: {reason}")
                versions = [value for name, value in stats.items() if name.endswith("version_text")]
                warming = any(value != "0" for name, value in stats.items() if "warming" in name)
                taken = bool(versions or not must_exist) and all(value == version for value in versions)
                if stats and taken and not warming:
                    return
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise RejectedError(f"Envoy of {admin.proxy} did not take the configuration in {TAKEN_WITHIN:g} s") from None


async def rejections_now(admin: Admin, pattern: str) -> int:
    try:
        return rejections(await admin.stats(f"{pattern}update_rejected$"))
    except OSError:
        return 0


def rejections(stats: Mapping[str, str]) -> int:
    return sum(int(value) for name, value in stats.items() if name.endswith("update_rejected"))
