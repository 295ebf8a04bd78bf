"""What an application is made of, and where its manifests are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meshtrail.errors import MeshtrailError

FORMS = ("plain", "otel")


@dataclass(frozen=True, slots=True)
class Application:
    """Paths are relative to the repository; `otel` maps a service to the component that makes it the otel form."""

    name: str
    manifests: tuple[str, ...]
    otel: Mapping[str, str]

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.otel)


# The mesh-wide part, the same under each application.
MESH = ("istio/install/demo.yaml", "istio/mesh")

APPLICATIONS: Mapping[str, Application] = {
    application.name: application
    for application in (
        Application(
            name="three-tier",
            manifests=(*MESH, "k8s/overlays/dev"),
            otel={name: f"k8s/components/otel/{name}" for name in ("frontend", "backend", "database")},
        ),
    )
}
DEFAULT_APPLICATION = "three-tier"


def application(name: str) -> Application:
    found = APPLICATIONS.get(name)
    if found is None:
        raise MeshtrailError(f"no application '{name}'", mend=f"take one of: {', '.join(APPLICATIONS)}")
    return found


def parse_forms(app: Application, values: Sequence[str]) -> dict[str, str]:
    """`--form` values to the form of each service: `otel` sets all, `backend=otel` one; later ones win."""
    forms = dict.fromkeys(app.services, FORMS[0])
    for value in values:
        service, equals, form = value.rpartition("=")
        if form not in FORMS:
            raise MeshtrailError(f"--form {value}: no form '{form}'", mend=f"take one of: {', '.join(FORMS)}")
        if equals and service not in forms:
            raise MeshtrailError(
                f"--form {value}: {app.name} has no service '{service}'", mend=f"its services: {', '.join(forms)}"
            )
        forms.update({service: form} if equals else dict.fromkeys(forms, form))
    return forms


def find_repository(start: Path | None = None) -> Path:
    """The folder with `k8s/` and `istio/`: the working directory or one above it, else where the package lives."""
    here = (start or Path.cwd()).absolute()
    candidates = [here, *here.parents]
    if start is None:
        candidates.append(Path(__file__).resolve().parents[3])
    for folder in candidates:
        if is_repository(folder):
            return folder
    raise MeshtrailError(
        f"no manifests found: neither {here} nor a folder above it holds {' and '.join(MARKS)}",
        mend="go to a clone of the meshtrail repository, or name it: `--root DIR`",
    )


MARKS = ("k8s/overlays", "istio/mesh", "services")


def is_repository(folder: Path) -> bool:
    return all((folder / mark).is_dir() for mark in MARKS)
