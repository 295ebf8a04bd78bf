"""What the manifests ask of the images of PostgreSQL and Envoy, be they the originals or what stands in for them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import psycopg
import pytest
from docker.models.containers import Container
from tests.support.absent import absent
from tests.support.mesh import ROOT, eventually, unique_name

pytestmark = pytest.mark.compose

PASSWORD = "a pass'word"


def provided(client: docker.DockerClient, repository: str) -> str:
    """The image that the manifests name, made if docker lacks it."""
    script = [sys.executable, str(ROOT / "tests/images/stand-ins/build")]
    listed = subprocess.run([*script, "--list"], capture_output=True, text=True, timeout=60, check=True).stdout
    image = re.findall(rf"(?m)^({repository}:\S+): ", listed)[0]
    if not client.images.list(image):
        done = subprocess.run([*script, "--strict", image], capture_output=True, text=True, timeout=600)
        if done.returncode:
            absent(f"no image {image}: {done.stdout}{done.stderr}")
    return str(image)


@contextmanager
def postgres(client: docker.DockerClient, volume: str, **environment: str) -> Iterator[Container]:
    container = client.containers.run(
        provided(client, "postgres"),
        detach=True,
        user="999:999",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        environment=environment,
        tmpfs={"/tmp": "mode=1777", "/var/run/postgresql": "uid=999,gid=999,mode=0775"},
        volumes=[f"{volume}:/var/lib/postgresql/data"],
    )
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def ready(container: Container) -> bool:
    return container.exec_run(["pg_isready", "--quiet", "--host=127.0.0.1", "--username=database"]).exit_code == 0


def connect(container: Container, password: str) -> psycopg.Connection:
    container.reload()
    address = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    return psycopg.connect(
        host=address, user="database", dbname="database", password=password, connect_timeout=5, autocommit=True
    )


@pytest.fixture
def volume(client: docker.DockerClient) -> Iterator[str]:
    volume = client.volumes.create(unique_name())
    yield str(volume.name)
    volume.remove(force=True)


def test_postgres_keeps_data_and_asks_for_the_password(client: docker.DockerClient, volume: str) -> None:
    given = {"POSTGRES_USER": "database", "POSTGRES_DB": "database", "POSTGRES_PASSWORD": PASSWORD}
    with postgres(client, volume, **given) as container:
        eventually(lambda: ready(container), within=60, what="a new PostgreSQL is ready")
        with connect(container, PASSWORD) as connection:
            connection.execute("CREATE TABLE kept (number INTEGER)")
            connection.execute("INSERT INTO kept VALUES (42)")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(container, "another")
        container.stop(timeout=30)
        # By SIGINT, PostgreSQL's fast shutdown.
        assert container.wait(timeout=10)["StatusCode"] == 0
        assert b"database system is shut down" in container.logs()
    with postgres(client, volume, **{**given, "POSTGRES_PASSWORD": "not looked at again"}) as container:
        eventually(lambda: ready(container), within=60, what="PostgreSQL is ready again")
        with connect(container, PASSWORD) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(42,)]


def test_postgres_makes_no_database_without_a_password(client: docker.DockerClient, volume: str) -> None:
    with postgres(client, volume, POSTGRES_USER="database") as container:
        assert container.wait(timeout=30)["StatusCode"] == 1
        assert b"POSTGRES_PASSWORD" in container.logs()


@pytest.mark.parametrize("command", [["envoy", "--version"], ["--version"]], ids=["named", "options"])
def test_envoy_takes_options_with_and_without_its_name(command: list[str], client: docker.DockerClient) -> None:
    image = provided(client, "envoyproxy/envoy")
    said = client.containers.run(image, command, remove=True, read_only=True, cap_drop=["ALL"], user="101:101")
    assert f"/{image.rpartition(':v')[2]}/" in said.decode()
