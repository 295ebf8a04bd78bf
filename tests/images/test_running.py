"""The images as a cluster runs them: restricted, without a shell, ended by SIGTERM; and live, edited while they run."""

from __future__ import annotations

import time

import docker
import httpx
import pytest
from tests.images.support import IMAGES, ServiceImage, build_images, ended, running
from tests.support.mesh import eventually

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("built")]

GRACE = 15  # seconds: terminationGracePeriodSeconds of the manifests


@pytest.mark.parametrize("image", IMAGES, ids=str)
def test_runs_restricted_and_ends_by_itself(image: ServiceImage, client: docker.DockerClient) -> None:
    with running(client, image.name, image.port) as (container, http):
        assert http.get("/readyz").json() == {"status": "ready"}
        if image.service == "database":
            assert http.get("/query").json()["records"] == 42
        processes = container.top(ps_args="-eo pid,uid,args")["Processes"]
        entrypoint = " ".join(container.attrs["Config"]["Entrypoint"])
        # Now and then the image's own health check runs beside the service.
        assert [
            one[1:] for one in processes if one[2].rpartition(" ")[2] != "healthcheck" and "readyz" not in one[2]
        ] == [["10001", entrypoint]]
        checked = container.exec_run(container.attrs["Config"]["Healthcheck"]["Test"][1:])
        assert checked.exit_code == 0, checked.output
        began = time.monotonic()
        assert ended(container, within=GRACE) == 0
        # Idle, so there is nothing to finish; spans of the otel form have no collector here, which costs 1.2 s.
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("image", [one for one in IMAGES if one.service == "frontend"][::2], ids=str)
def test_wrong_setting_ends_the_start_with_one_line(image: ServiceImage, client: docker.DockerClient) -> None:
    container = client.containers.run(image.name, detach=True, environment={"PROPAGATION": "some"}, read_only=True)
    try:
        assert container.wait(timeout=30)["StatusCode"] == 2
        said = container.logs().decode().splitlines()
        assert said == ["frontend: PROPAGATION='some' is not allowed, expected one of all, b3, w3c, none"]
    finally:
        container.remove(force=True)


def test_live_image_takes_edits_while_it_runs(client: docker.DockerClient) -> None:
    # backend: unlike the others it has no watchfiles among its own packages.
    build_images("--live", "--form", "plain", "--lang", "python", "backend")
    image = "meshtrail/backend-python:0.1.0-live"
    shared, own = (f"/tmp/app/python/{file}" for file in ("meshtrail_common/wsgi.py", "backend/app.py"))
    with running(client, image, 8080, tmpfs={"/tmp": "mode=1777"}, shells=True) as (container, http):

        def edit(expression: str, file: str) -> None:
            done = container.exec_run(["sed", "-i", expression, file])
            assert done.exit_code == 0, done.output

        def answer() -> str:
            try:
                return http.get("/healthz").text
            except httpx.TransportError:
                return ""

        # What skaffold copies with.
        assert container.exec_run(["tar", "--version"]).exit_code == 0
        assert "ok" in answer()
        edit("1i not python", own)
        eventually(lambda: b"SyntaxError" in container.logs(), what="the log tells of the error")
        edit("1d", own)
        edit('s/status="ok"/status="edited"/', shared)
        eventually(lambda: "edited" in answer(), within=20, what="the edit is live, the broken one mended")
        assert ended(container, within=GRACE) == 0


def test_live_image_of_node_takes_edits_while_it_runs(client: docker.DockerClient) -> None:
    build_images("--live", "--form", "plain", "--lang", "node", "frontend")
    image = "meshtrail/frontend-node:0.1.0-live"
    with running(client, image, 3000, tmpfs={"/tmp": "mode=1777"}, shells=True) as (container, http):

        def answer() -> str:
            try:
                return http.get("/readyz").text
            except httpx.TransportError:
                return ""

        assert "ready" in answer()
        edit = ["sed", "-i", 's/"ready"/"edited"/', "/tmp/app/frontend/node/app.js"]
        done = container.exec_run(edit)
        assert done.exit_code == 0, done.output
        eventually(lambda: "edited" in answer(), within=20, what="the edit is live")
        assert ended(container, within=GRACE) == 0
