from __future__ import annotations

import sys
from pathlib import Path

import pytest

from meshtrail.errors import ManifestError
from meshtrail.local.programs import replace_paths, service_program, write_volumes
from meshtrail.manifests.kinds import ConfigMap, Container, Deployment, Meta, Volume, VolumeMount

ROOT = Path(__file__).parents[2]
MAPS = {("ConfigMap", "ns", "code"): ConfigMap(Meta("ConfigMap", "code", "ns"), {"app.py": "print(1)\n"})}


def deployment(image: str, *, command: tuple[str, ...] = (), mounts: tuple[VolumeMount, ...] = (),
               volumes: tuple[Volume, ...] = (), args: tuple[str, ...] = ()) -> Deployment:  # fmt: skip
    container = Container("main", image, command=command, args=args, volume_mounts=mounts)
    meta = Meta("Deployment", "one", "ns", file="one.yaml", line=3)
    return Deployment(meta, 1, {}, {}, (container,), volumes)


def program(made: Deployment, tmp_path: Path, **env: str):  # type: ignore[no-untyped-def]
    return service_program(made, env, MAPS, root=ROOT, folder=tmp_path)


@pytest.mark.parametrize(
    ("image", "module"),
    [
        ("meshtrail/backend-python", "backend.plain"),
        ("meshtrail/backend-python:0.1.0", "backend.plain"),
        ("registry.example:5000/meshtrail/backend-python-otel:1@sha256:abc", "backend.otel"),
    ],
)
def test_an_image_of_ours_is_a_module_of_the_repository(image: str, module: str, tmp_path: Path) -> None:
    made = program(deployment(image, args=("--more",)), tmp_path, PORT="1")
    assert made.argv == (sys.executable, "-P", "-u", "-m", module, "--more")
    assert made.env["PYTHONPATH"].split(":") == [
        str(ROOT / "services/common/python"),
        str(ROOT / "services/backend/python"),
    ]
    assert made.env["PORT"] == "1"


def test_the_environment_is_minimal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example")
    monkeypatch.setenv("SECRET_TOKEN", "s")
    env = program(deployment("meshtrail/backend-python"), tmp_path).env
    assert not {"HTTP_PROXY", "SECRET_TOKEN"} & env.keys()
    assert "PATH" in env


def test_python_with_a_mounted_program(tmp_path: Path) -> None:
    made = deployment(
        "python:3.13-slim",
        command=("python3", "/app/app.py"),
        mounts=(VolumeMount("code", "/app"), VolumeMount("scratch", "/tmp")),
        volumes=(Volume("code", config_map="code"), Volume("scratch", empty_dir=True)),
    )
    result = program(made, tmp_path, DATABASE_URL="sqlite:////tmp/x.db", URL="http://host/tmp/x", OTHER="/tmpfs")
    write_volumes(made, MAPS, folder=tmp_path)
    script = Path(result.argv[-1])
    assert script.read_text() == "print(1)\n"
    scratch = tmp_path / "volumes" / "scratch"
    assert scratch.is_dir()
    assert result.env["DATABASE_URL"] == f"sqlite:///{scratch}/x.db"
    assert (result.env["URL"], result.env["OTHER"]) == ("http://host/tmp/x", "/tmpfs")
    assert result.env["TMPDIR"] == str(scratch)


def test_a_changed_config_map_changes_its_files_and_an_empty_dir_keeps_its_own(tmp_path: Path) -> None:
    made = deployment("python:3", volumes=(Volume("code", config_map="code"), Volume("scratch", empty_dir=True)))
    write_volumes(made, MAPS, folder=tmp_path)
    (tmp_path / "volumes/scratch/kept").write_text("x")
    new = {("ConfigMap", "ns", "code"): ConfigMap(Meta("ConfigMap", "code", "ns"), {"other.py": "2"})}
    write_volumes(made, new, folder=tmp_path)
    assert sorted(path.name for path in (tmp_path / "volumes").rglob("*.*")) == ["other.py"]
    assert (tmp_path / "volumes/scratch/kept").exists()


@pytest.mark.parametrize(
    ("made", "field", "message"),
    [
        (deployment("nginx"), "image", "cannot run the image 'nginx'"),
        (deployment("meshtrail/nobody-python"), "image", "no program for the image"),
        (deployment("meshtrail/backend-go"), "image", "no program for the image"),
        (deployment("python:3"), "command", "without a command"),
        (deployment("python:3", command=("sh", "-c", "true")), "command", "runs Python only"),
        (
            deployment("python:3", command=("python3",), volumes=(Volume("v", secret="none"),)),
            "volumes",
            "Secret ns/none",
        ),
    ],
)
def test_what_cannot_run_is_refused_with_its_place(made: Deployment, field: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        program(made, tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.object) == ("one.yaml", 3, "Deployment ns/one")
    assert problem.field.endswith(field)
    assert message in problem.message
    assert problem.mend


def test_the_longest_mount_wins() -> None:
    mounts = {"/data": "/run/a", "/data/deep": "/run/b"}
    assert replace_paths("/data/deep/x", mounts) == "/run/b/x"
    assert replace_paths("/data/other", mounts) == "/run/a/other"
    assert replace_paths("/database", mounts) == "/database"
