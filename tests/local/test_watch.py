from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshtrail.local.watch import Watcher, settle


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[tuple[Watcher, asyncio.Queue[set[Path]]]]:
    (tmp_path / "a.yaml").write_text("1")
    watcher = Watcher([tmp_path / "a.yaml"])
    seen: asyncio.Queue[set[Path]] = asyncio.Queue()

    async def follow() -> None:
        async for changes in watcher.changes():
            seen.put_nowait(changes)

    task = asyncio.create_task(follow())
    # It watches when it first tells: write until it does.
    while seen.empty():
        assert not task.done(), task.exception()
        (tmp_path / "a.yaml").write_text("2")
        await asyncio.sleep(0.02)
    await settle(seen.qsize, 0.2)
    while not seen.empty():
        seen.get_nowait()
    yield watcher, seen
    watcher.close()
    async with asyncio.timeout(1):
        await task


async def told(seen: asyncio.Queue[set[Path]]) -> set[str]:
    async with asyncio.timeout(5):
        return {path.name for path in await seen.get()}


async def test_every_way_to_save_is_noticed(watched, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, seen = watched
    (tmp_path / "a.yaml").write_text("3")
    assert "a.yaml" in await told(seen)
    (tmp_path / "new").write_text("4")
    (tmp_path / "new").replace(tmp_path / "a.yaml")
    assert "a.yaml" in await told(seen)
    (tmp_path / "a.yaml").unlink()
    assert "a.yaml" in await told(seen)
    (tmp_path / "a.yaml").write_text("5")
    assert "a.yaml" in await told(seen)


async def test_other_files_are_left_alone_and_other_folders_can_be_added(watched, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    watcher, seen = watched
    (tmp_path / "notes.txt").write_text("x")
    folder = tmp_path / "more"
    folder.mkdir()
    watcher.watch([tmp_path / "a.yaml", folder / "b.yaml"])
    while seen.empty():
        (folder / "b.yaml").write_text("1")
        await asyncio.sleep(0.02)
    assert await told(seen) == {"b.yaml"}
