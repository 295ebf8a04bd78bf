"""What a container's environment says about services."""

from __future__ import annotations

import pytest

from meshtrail.manifests import kinds
from meshtrail.mesh import MeshPort, MeshService
from meshtrail.mesh import environment as env


def service(name: str, *ports: int, namespace: str = "n") -> MeshService:
    full = f"{name}.{namespace}.svc.cluster.local"
    return MeshService(full, name, namespace, tuple(MeshPort(port, "http", "http", port) for port in ports))


EXTERNAL = MeshService(
    "api.example.com",
    "api.example.com",
    "n",
    (MeshPort(80, "http", "http", 80), MeshPort(443, "https", "tcp", 443)),
    external=kinds.ServiceEntry(kinds.Meta("ServiceEntry", "e", "n"), ("api.example.com",), (), "DNS"),
)
SERVICES = {
    entry.fqdn: entry
    for entry in (service("backend", 8080), service("web", 80), service("postgres", 5432, namespace="data"), EXTERNAL)
}


@pytest.mark.parametrize(
    ("value", "prefix", "authority", "suffix", "port"),
    [
        ("http://backend:8080/path?q=1", "http://", "backend:8080", "/path?q=1", 8080),
        ("http://backend:8080", "http://", "backend:8080", "", 8080),
        ("http://user:p%40w@backend:8080/", "http://user:p%40w@", "backend:8080", "/", 8080),
        ("backend:8080", "", "backend:8080", "", 8080),
        ("http://web/x", "http://", "web", "/x", 80),
        ("http://backend.n:8080", "http://", "backend.n:8080", "", 8080),
        ("http://backend.n.svc:8080", "http://", "backend.n.svc:8080", "", 8080),
        ("http://backend.n.svc.cluster.local.:8080", "http://", "backend.n.svc.cluster.local.:8080", "", 8080),
        ("postgresql://u:p@postgres.data/db", "postgresql://u:p@", "postgres.data", "/db", 5432),
        ("postgresql+psycopg://u:p@postgres.data/db", "postgresql+psycopg://u:p@", "postgres.data", "/db", 5432),
        ("http://api.example.com/v1", "http://", "api.example.com", "/v1", 80),
    ],
)
def test_a_service_is_recognised(value: str, prefix: str, authority: str, suffix: str, port: int) -> None:
    (found,), problems = env.references({"URL": value}, "n", SERVICES)
    assert problems == []
    assert (found.prefix, found.authority, found.suffix, found.port) == (prefix, authority, suffix, port)
    assert found.prefix + found.authority + found.suffix == value


@pytest.mark.parametrize(
    "value",
    [
        "backend",  # a word, not an address
        "all",
        "http://elsewhere.example:8080",
        "https://api.example.com/v1",  # the certificate is for that name
        "http://127.0.0.1:8080",
        "sqlite:///tmp/backend:8080",
        "postgres:8080",  # a service of another namespace, by its short name
        "",
        "a backend:8080 somewhere",
    ],
)
def test_anything_else_stays(value: str) -> None:
    assert env.references({"X": value}, "n", SERVICES) == ([], [])


def test_a_port_that_the_service_does_not_have() -> None:
    found, (problem,) = env.references({"BACKEND_URL": "http://backend:9090"}, "n", SERVICES)
    assert found == []
    assert problem.variable == "BACKEND_URL"
    assert "9090" in problem.message
    assert "8080" in problem.message


PAIR = {"BACKEND_HOSTNAME": "backend", "BACKEND_SERVICE_PORT": "8080"}


@pytest.mark.parametrize(
    ("more", "authority"),
    [({}, "backend:8080"), ({"SERVICES_DOMAIN": "n.svc.cluster.local"}, "backend.n.svc.cluster.local:8080")],
)
def test_a_host_and_its_port_in_two_variables(more: dict[str, str], authority: str) -> None:
    (found,), problems = env.references({**PAIR, **more}, "n", SERVICES)
    assert problems == []
    assert (found.variable, found.port_variable) == ("BACKEND_HOSTNAME", "BACKEND_SERVICE_PORT")
    assert (found.authority, found.fqdn, found.port) == (authority, "backend.n.svc.cluster.local", 8080)


@pytest.mark.parametrize(
    "values",
    [
        {"BACKEND_HOSTNAME": "backend"},  # a word, without a port beside it
        {**PAIR, "BACKEND_HOSTNAME": "elsewhere"},
        {**PAIR, "BACKEND_SERVICE_PORT": "http"},
        {**PAIR, "SERVICES_DOMAIN": "elsewhere.example"},
        {"HOSTNAME": "backend", "SERVICE_PORT": "8080"},
        {"_HOSTNAME": "backend", "_SERVICE_PORT": "8080"},
    ],
)
def test_what_is_no_pair_stays(values: dict[str, str]) -> None:
    assert env.references(values, "n", SERVICES) == ([], [])


def test_a_pair_with_a_port_that_the_service_does_not_have() -> None:
    found, (problem,) = env.references({**PAIR, "BACKEND_SERVICE_PORT": "9080"}, "n", SERVICES)
    assert found == []
    assert (problem.variable, "9080" in problem.message, "8080" in problem.message) == (
        "BACKEND_SERVICE_PORT",
        True,
        True,
    )


def test_a_scheme_without_a_known_port() -> None:
    _, (problem,) = env.references({"X": "amqps://backend"}, "n", SERVICES)
    assert "without a port" in problem.message


def deployment(*variables: kinds.EnvVar, env_from: tuple[kinds.EnvFrom, ...] = ()) -> kinds.Deployment:
    container = kinds.Container("c", "image", env=variables, env_from=env_from)
    meta = kinds.Meta("Deployment", "web", "n")
    return kinds.Deployment(meta, 1, {"app": "web"}, {"a/b": "c"}, (container,), service_account="robot")


MAPS = {
    ("ConfigMap", "n", "settings"): kinds.ConfigMap(kinds.Meta("ConfigMap", "settings", "n"), {"A": "1", "B": "2"}),
    ("Secret", "n", "login"): kinds.ConfigMap(kinds.Meta("Secret", "login", "n"), {"password": "p"}),
}


def test_values_come_from_maps_secrets_and_the_pod() -> None:
    made = deployment(
        kinds.EnvVar("B", "own"),
        kinds.EnvVar("PW", key_ref=kinds.KeyRef("Secret", "login", "password")),
        kinds.EnvVar("POD", field_path="metadata.name"),
        kinds.EnvVar("NS", field_path="metadata.namespace"),
        kinds.EnvVar("APP", field_path="metadata.labels['app']"),
        kinds.EnvVar("SA", field_path="spec.serviceAccountName"),
        kinds.EnvVar("URL", "http://u:$(PW)@backend:8080/$(NS)/$$(NS)/$(UNKNOWN)"),
        kinds.EnvVar("MAYBE", key_ref=kinds.KeyRef("ConfigMap", "none", "x", optional=True)),
        env_from=(kinds.EnvFrom("ConfigMap", "settings"), kinds.EnvFrom("ConfigMap", "settings", prefix="P_")),
    )
    values, missing = env.resolve(made, "web-0", MAPS)
    assert missing == []
    assert values == {
        "A": "1",
        "B": "own",
        "P_A": "1",
        "P_B": "2",
        "PW": "p",
        "POD": "web-0",
        "NS": "n",
        "APP": "web",
        "SA": "robot",
        "URL": "http://u:p@backend:8080/n/$(NS)/$(UNKNOWN)",
    }


def test_what_cannot_be_filled_is_named() -> None:
    made = deployment(
        kinds.EnvVar("PW", key_ref=kinds.KeyRef("Secret", "login", "user")),
        kinds.EnvVar("X", field_path="status.startTime"),
        env_from=(kinds.EnvFrom("ConfigMap", "gone"),),
    )
    values, missing = env.resolve(made, "web-0", MAPS)
    assert values == {}
    assert [item.variable for item in missing] == ["envFrom", "PW", "X"]
    problems = env.unresolved_problems(made, missing)
    assert problems[0].field == "spec.template.spec.containers[0].envFrom"
    assert problems[1].field == "spec.template.spec.containers[0].env[PW]"
    assert "key 'user' of Secret n/login" in problems[1].message
