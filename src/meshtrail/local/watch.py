"""Tells when one of a set of files changed, however the editor saves: in place, by renaming, in several steps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

DEBOUNCE_MS = 50
STEP_MS = 10
MANIFESTS = (".yaml", ".yml", ".json")


class Watcher:
    """Watches the folders of the files, since an editor that renames leaves the watch of the file itself behind."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files: frozenset[Path] = frozenset()
        self._changed = asyncio.Event()
        self._folders: frozenset[Path] = frozenset()
        self._closed = False
        self.watch(files)

    def close(self) -> None:
        """End `changes`: the thread that watches notices at once, where a cancelled task would wait for it."""
        self._closed = True
        self._changed.set()

    def watch(self, files: Iterable[Path]) -> None:
        """Watch another set from now on."""
        self._files = frozenset(_real(path) for path in files)
        folders = frozenset(path if path.is_dir() else path.parent for path in self._files)
        if folders != self._folders:
            self._folders = folders
            self._changed.set()

    async def changes(self) -> AsyncIterator[set[Path]]:
        """Each set of files that changed together. Ends with `close`."""
        # Costs time at start that nobody should wait for.
        from watchfiles import awatch

        while not self._closed:
            self._changed.clear()
            folders = [path for path in self._folders if path.is_dir()]
            if not folders:
                await self._changed.wait()
                continue
            watching = awatch(
                *folders,
                watch_filter=None,
                debounce=DEBOUNCE_MS,
                step=STEP_MS,
                recursive=False,
                stop_event=self._changed,
            )
            async with contextlib.aclosing(watching):
                async for changes in watching:
                    touched = {_real(Path(path)) for _, path in changes}
                    # Also a manifest that is new in the folder: one that a kustomization names and that was missing.
                    if relevant := {path for path in touched if path in self._files or path.suffix in MANIFESTS}:
                        yield relevant


def _real(path: Path) -> Path:
    # The folder's links are resolved, the file's own is not: replacing a link is a change of the file.
    return path.parent.resolve() / path.name


async def settle(look: Callable[[], object], seconds: float) -> None:
    """Wait until what `look` returns stays the same for `seconds`: a file that is being written is left alone."""
    before = look()
    while True:
        await asyncio.sleep(seconds)
        now = look()
        if now == before:
            return
        before = now
