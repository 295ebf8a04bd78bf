"""Requests made from a service's OpenAPI document, right ones and wrong ones, and what every answer has to be.

schemathesis makes the requests and holds the answers to the document: the status, the content type, the schema, that
wrong data is refused and right data is not, that other methods are 405.
"""

from __future__ import annotations

from typing import Any

import requests
from hypothesis import HealthCheck, Phase, given, settings
from tests.services.harness import SERVICES

# What a printable name is, no schema says: some that the document allows are refused.
STRICTER_THAN_THE_DOCUMENT = ("POST /login",)


def fuzz(service: str, url: str, examples: int, *, derandomize: bool) -> int:
    """Send up to `examples` right and as many wrong requests to each operation; return how many were sent."""
    # Here and not above: the import takes a second, and each of pytest's workers collects this module.
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_path(SERVICES / service / "openapi.yaml")
    limits = settings(
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    sent = 0
    with requests.Session() as session:
        session.trust_env = False

        def ask(case: Any) -> None:
            nonlocal sent
            sent += 1
            stricter = case.operation.label in STRICTER_THAN_THE_DOCUMENT
            case.call_and_validate(
                base_url=url,
                session=session,
                additional_checks=[nothing_leaks],
                excluded_checks=[positive_data_acceptance] if stricter else [],
            )

        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            takes_data = bool(operation.path_parameters or operation.query or operation.body)
            for mode in GenerationMode if takes_data else (GenerationMode.POSITIVE,):
                limits(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    return sent


def nothing_leaks(context: Any, response: Any, case: Any) -> None:
    """A check of schemathesis: no answer tells what made it, and each refusal is `{"error": ...}`."""
    assert "server" not in response.headers
    assert "x-powered-by" not in response.headers
    assert "Traceback" not in response.text
    if response.status_code >= 400:
        assert response.headers["content-type"][0].startswith("application/json")
        content = response.json()
        assert content.keys() == {"error"}, content
        assert "\n" not in content["error"]
