"""The images of the services under test: which there are, how one is run as a cluster runs it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
from docker.models.containers import Container
from tests.support.mesh import ROOT, eventually

PORTS = {
    "frontend": 3000,
    "backend": 8080,
    "database": 8080,
    "productpage": 9080,
    "details": 9080,
    "reviews": 9080,
    "ratings": 9080,
    "helloworld": 8080,
}
NOTHING = "/dev/null"
SHELLS = ("/bin/sh", "/bin/bash")


@dataclass(frozen=True)
class ServiceImage:
    service: str
    language: str  # python | node | go
    form: str  # plain | otel

    @property
    def name(self) -> str:
        return f"meshtrail/{self.service}-{self.language}{'' if self.form == 'plain' else '-otel'}:0.1.0"

    @property
    def port(self) -> int:
        return PORTS[self.service]

    @property
    def folder(self) -> Path:
        return ROOT / "services" / self.service / self.language

    @property
    def requirements(self) -> Path:
        return self.folder / f"requirements{'' if self.form == 'plain' else '-otel'}.txt"

    def __str__(self) -> str:
        return f"{self.service}-{self.language}-{self.form}"


IMAGES = [
    ServiceImage(service, file.parent.name, form)
    for service in PORTS
    for file in sorted(ROOT.glob(f"services/{service}/*/Dockerfile"))
    for form in ("plain", "otel")
]
PYTHON = [image for image in IMAGES if image.language == "python"]


def build_images(*arguments: str, root: Path = ROOT, environ: dict[str, str] | None = None) -> str:
    """Run scripts/build-images; its standard output. AssertionError with docker's words when it fails."""
    done = subprocess.run(
        ["scripts/build-images", *arguments], cwd=root, capture_output=True, text=True, timeout=600, env=environ
    )
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def running(
    client: docker.DockerClient, image: str, port: int, *, tmpfs: dict[str, str] | None = None, shells: bool = False
) -> Iterator[tuple[Container, httpx.Client]]:
    """A container as the manifests run it, on a loopback port that Docker chooses, and a client to it.

    It answers /healthz when it is given. Root read-only, no capability, no new privilege; without `shells` those of
    the image cannot be executed. Removed at the end, whatever happens.
    """
    # Any port; the stubs know of no None.
    anywhere: dict[str, Any] = {f"{port}/tcp": ("127.0.0.1", None)}
    container = client.containers.run(
        image,
        detach=True,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="192m",
        tmpfs=tmpfs or {},
        volumes={} if shells else [f"{NOTHING}:{shell}:ro" for shell in SHELLS],
        ports=anywhere,
    )
    try:
        container.reload()
        bindings = container.ports[f"{port}/tcp"]
        assert bindings, container.logs().decode()
        published = bindings[0]["HostPort"]
        with httpx.Client(base_url=f"http://127.0.0.1:{published}", timeout=5, trust_env=False) as http:
            eventually(lambda: answers(container, http), within=30, what=f"{image} answers /healthz")
            yield container, http
    finally:
        container.remove(force=True, v=True)


def answers(container: Container, http: httpx.Client) -> bool:
    """Whether /healthz is answered; AssertionError with the log of a container that has ended."""
    container.reload()
    assert container.status in ("created", "running"), container.logs().decode()
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def ended(container: Container, *, within: int) -> int:
    """Send SIGTERM; the exit status. A container that does not end within so many seconds is killed: 137."""
    container.stop(timeout=within)
    return int(container.wait(timeout=10)["StatusCode"])
