from __future__ import annotations

from pathlib import Path

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.local.applications import APPLICATIONS, application, find_repository, parse_forms
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


@pytest.mark.parametrize("name", list(APPLICATIONS))
def test_what_an_application_is_made_of_exists(name: str) -> None:
    app = application(name)
    for path in (*app.manifests, *app.otel.values()):
        assert (ROOT / path).exists(), path


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
    options = MeshOptions.of(form=["otel"], files=[ROOT / "istio"], ports={"gateway": 81}, store_file=Path("x.db"))
    assert MeshOptions.from_json(options.to_json()) == options
    assert Path(options.store_file).is_absolute()
