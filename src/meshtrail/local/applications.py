"""What an application is made of, and where its manifests are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from meshtrail.errors import MeshtrailError

FORMS = ("plain", "otel")
DEFAULT_LANGUAGE = "python"
POLYGLOT = "polyglot"


@dataclass(frozen=True, slots=True)
class Application:
    """Paths in the repository are relative to it.

    `languages` maps each service to what it is written in, the default first. `path` is what a demonstration asks the
    gateway for, `others` more paths worth asking for with what they show. `breaks` is the service whose propagation
    switch breaks a trace, empty when none does; `route` is a folder of routes to lay over, with what it shows.
    """

    name: str
    overlay: str
    languages: Mapping[str, tuple[str, ...]]
    path: str = "/"
    others: tuple[tuple[str, str], ...] = ()
    breaks: str = ""
    route: tuple[str, str] | None = None

    @property
    def manifests(self) -> tuple[str, ...]:
        return (*MESH, self.overlay)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.languages)

    @property
    def otel(self) -> Mapping[str, str]:
        """From a service to the component that makes it the otel form."""
        return {service: f"k8s/components/otel/{service}" for service in self.languages}

    def components(self, forms: Mapping[str, str], languages: Mapping[str, str]) -> list[str]:
        """The components to lay over the overlay: one for each service that is not plain, or not in Python."""
        return [
            *(f"k8s/components/lang/{name}-{lang}" for name, lang in languages.items() if lang != DEFAULT_LANGUAGE),
            *(self.otel[name] for name, form in forms.items() if form != FORMS[0]),
        ]


# The mesh-wide part, the same under each application.
MESH = ("istio/install/demo.yaml", "istio/mesh")

PYTHON = (DEFAULT_LANGUAGE,)
APPLICATIONS: Mapping[str, Application] = {
    application.name: application
    for application in (
        Application(
            name="three-tier",
            overlay="k8s/overlays/dev",
            languages={"frontend": ("python", "node"), "backend": PYTHON, "database": ("python", "go")},
            breaks="backend",
        ),
        Application(
            name="bookinfo",
            overlay="k8s/overlays/bookinfo",
            languages=dict.fromkeys(("productpage", "details", "reviews", "ratings"), PYTHON),
            path="/productpage",
            others=(("/api/v1/products/0/reviews", "as JSON"),),
            breaks="reviews",
            route=("istio/bookinfo/by-user", "jason, signed in, sees black stars, everybody else none"),
        ),
        Application(
            name="helloworld",
            overlay="k8s/overlays/helloworld",
            languages={"helloworld": ("python", "go")},
            others=(("/gettime", "its other answer"),),
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
    for value, service, form in _choices(app, "--form", values):
        if form not in FORMS:
            raise MeshtrailError(f"--form {value}: no form '{form}'", mend=f"take one of: {', '.join(FORMS)}")
        forms.update({service: form} if service else dict.fromkeys(forms, form))
    return forms


def parse_languages(app: Application, values: Sequence[str]) -> dict[str, str]:
    """`--lang` values to the language of each service; later ones win.

    `database=go` sets one; `go` every service that is written in it; `polyglot` takes for every service that has one
    the language that is not Python; `python` sets all.
    """
    chosen = {service: languages[0] for service, languages in app.languages.items()}
    for value, service, language in _choices(app, "--lang", values):
        meant = {name: _meant(language, app.languages[name]) for name in ([service] if service else app.services)}
        meant = {name: found for name, found in meant.items() if found}
        # A language of all services that none of them is written in changes nothing, which nobody asks for.
        if not meant:
            there = "; ".join(f"{name} in {', '.join(app.languages[name])}" for name in app.services)
            raise MeshtrailError(
                f"--lang {value}: {service or app.name} is not written in '{language}'", mend=f"there are: {there}"
            )
        chosen.update(meant)
    return chosen


def _meant(language: str, languages: tuple[str, ...]) -> str:
    """The language of a service that `--lang` means; empty: the service has none such."""
    if language == POLYGLOT:
        return next((one for one in languages if one != DEFAULT_LANGUAGE), "")
    return language if language in languages else ""


def _choices(app: Application, option: str, values: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Each `[SERVICE=]CHOICE` of the values, comma between them: as written, the service or empty, the choice."""
    for value in (part for text in values for part in text.split(",")):
        service, equals, choice = value.rpartition("=")
        if equals and service not in app.services:
            raise MeshtrailError(
                f"{option} {value}: {app.name} has no service '{service}'",
                mend=f"its services: {', '.join(app.services)}",
            )
        yield value, service, choice


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
