"""docker compose for tests: a project of its own, from a copy of the files, on ports that Docker chooses."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import httpx
from docker.errors import DockerException
from docker.models.containers import Container
from tests.support.absent import absent
from tests.support.mesh import ROOT, editable_repository, unique_name

FILES = {
    "three-tier": "docker-compose.yml",
    "bookinfo": "docker-compose.bookinfo.yml",
    "helloworld": "docker-compose.helloworld.yml",
}
"""The compose file of each application."""
EXTENDED = ("compose/common.yaml", "compose/form/plain.yaml", "compose/form/otel.yaml")


def variables() -> set[str]:
    """Every variable that the compose files and what they extend ask for."""
    text = "".join((ROOT / file).read_text() for file in (*FILES.values(), *EXTENDED))
    return set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", text)) | set(
        re.findall(r"^ +- ([A-Z]+_[A-Z_]+)$", text, re.MULTILINE)
    )


@functools.cache
def compose_command() -> tuple[str, ...]:
    """How docker compose is called: the program DOCKER_COMPOSE names, else docker's plugin. Skips when neither is."""
    named = os.environ.get("DOCKER_COMPOSE")
    for command in ((named,),) if named else (("docker", "compose"), ("docker-compose",)):
        try:
            done = subprocess.run([*command, "version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return command
    return absent("no docker compose: install docker's plugin, or name the program in DOCKER_COMPOSE")


@dataclass
class Project:
    """One compose project: `folder` holds a copy of the compose files and of what they mount."""

    client: docker.DockerClient
    folder: Path
    file: str = "docker-compose.yml"
    name: str = field(default_factory=unique_name)
    variant: tuple[str, Mapping[str, str]] | None = None

    def compose(self, *arguments: str, env_file: str = "", given: Mapping[str, str] | None = None) -> str:
        """Run docker compose with the variables `given` and no others but the names of images; its standard output.

        AssertionError with everything it wrote when it fails.
        """
        known = {name for name in variables() if not name.endswith("_IMAGE")}
        kept = {name: value for name, value in os.environ.items() if name not in known and "COMPOSE_" not in name}
        options = ["--env-file", env_file] if env_file else []
        done = subprocess.run(
            [*compose_command(), "-f", self.file, "-p", self.name, *options, *arguments],
            cwd=self.folder,
            env={**kept, **{name: "0" for name in known if name.endswith("_PORT")}, **(given or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.unhealthy()}"
        return done.stdout

    def up(self, *, env_file: str = "", **given: str) -> None:
        """Bring the project into this state and wait until it serves; nothing happens when it is in it already.

        Images must be there: nothing is pulled or built.
        """
        if self.variant == (env_file, given):
            return
        self.variant = None
        images = self.compose("config", "--images", env_file=env_file, given=given).split()
        missing = sorted({image for image in images if not self.client.images.list(image)})
        if missing:
            absent(f"no image {', '.join(missing)}: scripts/build-images, tests/images/stand-ins/build")
        options = ("--wait", "--wait-timeout", "100", "--no-build", "--pull", "never", "--remove-orphans")
        self.compose("up", *options, env_file=env_file, given=given)
        self.variant = (env_file, given)

    def container(self, service: str) -> Container:
        labels = [f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}"]
        found = self.client.containers.list(all=True, filters={"label": labels})
        assert len(found) == 1, (service, found)
        return found[0]

    def containers(self) -> dict[str, Container]:
        """All of the project by service."""
        label = f"com.docker.compose.project={self.name}"
        found = self.client.containers.list(all=True, filters={"label": label})
        return {container.labels["com.docker.compose.service"]: container for container in found}

    def address(self, service: str, port: int) -> str:
        """The URL on this machine that leads to a container's port."""
        bindings = self.container(service).ports[f"{port}/tcp"]
        assert bindings, f"{service} does not publish {port}"
        published = bindings[0]
        return f"http://{published['HostIp']}:{published['HostPort']}"

    @property
    def gateway(self) -> str:
        return self.address("gateway", 8080)

    @property
    def jaeger(self) -> str:
        return self.address("jaeger", 16686)

    def switch(self, service: str, mode: str) -> None:
        """Set what a service forwards, through its published control port."""
        url = self.address(f"{service}-pod", 8090) + "/propagation"
        answer = httpx.put(url, json={"mode": mode}, trust_env=False)
        assert answer.json() == {"mode": mode}

    def python(self, service: str, code: str) -> tuple[int, str]:
        """Run Python in an application's container: exit status and output."""
        return run(self.container(service), "python3", "-Ic", code)

    def crash(self, service: str) -> None:
        """SIGKILL from outside, as the kernel does when memory is short: `docker kill` would count as a wish."""
        container = self.container(service)
        self.client.containers.run(
            self.container("backend").attrs["Image"],
            entrypoint=["python3", "-Ic", f"import os; os.kill({container.attrs['State']['Pid']}, 9)"],
            pid_mode="host",
            user="0",
            network_mode="none",
            remove=True,
        )

    def unhealthy(self) -> str:
        """The last words of every container that does not run or is not healthy."""
        told = []
        for service, container in self.containers().items():
            health = container.attrs["State"].get("Health", {}).get("Status", "healthy")
            if container.status != "running" or health != "healthy":
                told.append(f"{service}: {container.status}, {health}\n{container.logs(tail=5).decode()}")
        return "\n".join(told)


def run(container: Container, *command: str, **environment: str) -> tuple[int, str]:
    """A command in a container: exit status and output."""
    done = container.exec_run(list(command), environment=environment)
    assert isinstance(done.output, bytes)
    return int(done.exit_code or 0), done.output.decode()


@contextmanager
def project(folder: Path, application: str = "three-tier") -> Iterator[Project]:
    """A project whose files lie in `folder`; at the end everything of it is gone, volumes too."""
    compose_command()
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        absent(f"no Docker daemon: {error}")
    editable_repository(folder)
    shutil.copytree(ROOT / "compose", folder / "compose")
    shutil.copy(ROOT / FILES[application], folder)
    made = Project(client, folder, FILES[application])
    try:
        yield made
    finally:
        made.compose("--profile", "postgres", "down", "--volumes", "--remove-orphans", "--timeout", "2")
        client.close()
