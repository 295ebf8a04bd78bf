from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from meshtrail.errors import MeshtrailError
from meshtrail.local import toolchains
from meshtrail.local.applications import APPLICATIONS, application, find_repository, parse_forms, parse_languages
from meshtrail.local.options import WELL_KNOWN, MeshOptions

ROOT = Path(__file__).parents[2]
THREE_TIER = APPLICATIONS["three-tier"]


@pytest.mark.parametrize(
    ("values", "forms"),
    [
        ([], "plain plain plain"),
        (["otel"], "otel otel otel"),
        (["backend=otel"], "plain otel plain"),
        (["otel", "database=plain"], "otel otel plain"),
        (["database=plain", "otel"], "otel otel otel"),
    ],
)
def test_forms_are_for_all_or_one_and_the_last_wins(values: list[str], forms: str) -> None:
    assert list(parse_forms(THREE_TIER, values).values()) == forms.split()


@pytest.mark.parametrize("values", [["both"], ["backend="], ["nobody=otel"], ["=otel "]])
def test_wrong_forms(values: list[str]) -> None:
    with pytest.raises(MeshtrailError, match="--form"):
        parse_forms(THREE_TIER, values)


@pytest.mark.parametrize(
    ("name", "values", "languages"),
    [
        ("three-tier", [], "python python python"),
        ("three-tier", ["polyglot"], "node python go"),
        ("three-tier", ["frontend=node,database=go"], "node python go"),
        ("three-tier", ["go"], "python python go"),
        ("three-tier", ["polyglot", "frontend=python"], "python python go"),
        ("three-tier", ["database=go", "python"], "python python python"),
        ("three-tier", ["database=polyglot"], "python python go"),
        ("helloworld", ["go"], "go"),
    ],
)
def test_languages_are_for_all_that_have_them_or_one_and_the_last_wins(
    name: str, values: list[str], languages: str
) -> None:
    assert list(parse_languages(application(name), values).values()) == languages.split()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("three-tier", "rust", "database in python, go"),
        ("three-tier", "backend=go", "backend is not written in 'go'"),
        ("three-tier", "reviews=python", "its services: frontend, backend, database"),
        ("bookinfo", "polyglot", "productpage in python"),
        ("helloworld", "go,", "is not written in ''"),
    ],
)
def test_wrong_languages_are_told_what_there_is(name: str, value: str, said: str) -> None:
    with pytest.raises(MeshtrailError, match="--lang") as caught:
        parse_languages(application(name), [value])
    assert said in str(caught.value)


@pytest.mark.parametrize("name", list(APPLICATIONS))
def test_what_an_application_is_made_of_exists(name: str) -> None:
    app = application(name)
    forms, others = parse_forms(app, ["otel"]), {service: languages[-1] for service, languages in app.languages.items()}
    for path in (*app.manifests, *app.components(forms, others), *([app.route[0]] if app.route else [])):
        assert (ROOT / path).exists(), path
    # And nothing else: a service is written in what it has a folder for.
    written = {
        (service, folder.name)
        for service in app.services
        for folder in (ROOT / "services" / service).iterdir()
        if folder.name in toolchains.LANGUAGES
    }
    assert written == {(service, language) for service, languages in app.languages.items() for language in languages}


def test_polyglot_is_the_component_of_that_name() -> None:
    app = application("three-tier")
    text = yaml.safe_load((ROOT / "k8s/components/polyglot/kustomization.yaml").read_text())
    wanted = [f"k8s/components/{path.removeprefix('../')}" for path in text["components"]]
    assert wanted == app.components(parse_forms(app, []), parse_languages(app, ["polyglot"]))


def test_the_repository_is_found_from_below_and_from_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_repository(ROOT / "tests" / "local") == ROOT
    monkeypatch.chdir(tmp_path)
    assert find_repository() == ROOT
    with pytest.raises(MeshtrailError, match="--root"):
        find_repository(tmp_path)


def test_ports_are_well_known_chosen_or_both() -> None:
    assert MeshOptions.of().ports == {name: port for name, (_, _, port) in WELL_KNOWN.items()}
    assert MeshOptions.of(auto_ports=True).ports == {}
    assert MeshOptions.of(auto_ports=True, ports={"gateway": 81, "query": None}).ports == {"gateway": 81}
    assert MeshOptions.of(ports={"gateway": 81}).fixed_ports()["gateway"].option == "--gateway-port"


def test_options_travel_whole() -> None:
    options = MeshOptions.of(
        form=["otel"], lang=["polyglot"], files=[ROOT / "istio"], ports={"gateway": 81}, store_file=Path("x.db")
    )
    assert MeshOptions.from_json(options.to_json()) == options
    assert Path(options.store_file).is_absolute()
