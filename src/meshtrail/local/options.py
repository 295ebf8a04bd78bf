"""What a person asked `meshtrail up` for, checked, and able to travel to a detached supervisor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from meshtrail.errors import MeshtrailError
from meshtrail.local.applications import (
    DEFAULT_APPLICATION,
    application,
    find_repository,
    is_repository,
    parse_forms,
    parse_languages,
)
from meshtrail.local.ports import FixedPort
from meshtrail.local.state import DEFAULT_NAME

# name -> (option, purpose, the well-known port)
WELL_KNOWN: Mapping[str, tuple[str, str, int]] = {
    "gateway": ("--gateway-port", "ingress gateway", 8080),
    "query": ("--jaeger-port", "Jaeger's query API", 16686),
    "otlp_grpc": ("--otlp-grpc-port", "OTLP over gRPC", 4317),
    "otlp_http": ("--otlp-http-port", "OTLP over HTTP", 4318),
    "zipkin": ("--zipkin-port", "Zipkin", 9411),
}


@dataclass(frozen=True, slots=True)
class MeshOptions:
    """`ports` holds those that stay fixed, by the names in WELL_KNOWN; the others are chosen. Paths are absolute.

    `form` and `lang` are what `--form` and `--lang` take, one entry each. Make one with `MeshOptions.of`, which checks.
    """

    root: str
    application: str = DEFAULT_APPLICATION
    form: tuple[str, ...] = ()
    lang: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    name: str = DEFAULT_NAME
    store_file: str = ""
    lenient: bool = False

    @classmethod
    def of(
        cls,
        *,
        application_name: str = DEFAULT_APPLICATION,
        form: Sequence[str] = (),
        lang: Sequence[str] = (),
        files: Sequence[Path] = (),
        auto_ports: bool = False,
        ports: Mapping[str, int | None] | None = None,
        name: str = DEFAULT_NAME,
        store_file: Path | None = None,
        lenient: bool = False,
        root: Path | None = None,
    ) -> Self:
        """Raises MeshtrailError for an unknown application, form, language or service, or a file not there."""
        app = application(application_name)
        parse_forms(app, form)
        parse_languages(app, lang)
        for file in files:
            if not file.exists():
                raise MeshtrailError(f"-f {file}: no such file or folder")
        if root is not None and not is_repository(root):
            raise MeshtrailError(f"--root {root}: no manifests there", mend="name a clone of the meshtrail repository")
        fixed = {} if auto_ports else {key: port for key, (_, _, port) in WELL_KNOWN.items()}
        fixed.update({key: port for key, port in (ports or {}).items() if port is not None})
        return cls(
            root=str((root or find_repository()).absolute()),
            application=application_name,
            form=tuple(form),
            lang=tuple(lang),
            files=tuple(str(file.absolute()) for file in files),
            ports=fixed,
            name=name,
            store_file=str(store_file.absolute()) if store_file else "",
            lenient=lenient,
        )

    def fixed_ports(self) -> dict[str, FixedPort]:
        return {key: FixedPort(*WELL_KNOWN[key][:2], port) for key, port in self.ports.items()}

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        return cls(**{**data, **{name: tuple(data[name]) for name in ("form", "lang", "files")}})
