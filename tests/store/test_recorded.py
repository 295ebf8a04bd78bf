"""Our answers are those of a real Jaeger 2.13 to the same input."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from tests.store.conftest import StartStore, http
from tests.store.jaeger_pairs import answers_of, ask, inputs, send


@pytest.mark.parametrize("source", inputs(), ids=lambda path: path.name.partition(".")[0])
def test_answers_as_jaeger_does(source: Path, start_store: StartStore) -> None:
    running = start_store()
    assert send(http, source, running.otlp_http, running.zipkin).is_success
    recorded = json.loads(answers_of(source).read_bytes())
    assert len(recorded) > 40
    wrong = {}
    with httpx.Client(base_url=running.query) as client:
        for path, expected in recorded.items():
            answer = ask(client, path)
            if answer != expected:
                wrong[path] = (answer, expected)
    assert not wrong
