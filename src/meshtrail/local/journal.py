"""What happens to a running mesh, one line of JSON each, and to whoever watches."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path


class Journal:
    def __init__(self, path: Path, on_event: Callable[[str], None]) -> None:
        self.path = path
        self._on_event = on_event

    def write(self, event: str, sentence: str) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time, "event": event, "message": sentence}) + "\n")
        self._on_event(sentence)
