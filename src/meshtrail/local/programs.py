"""From a container to a process on this machine: image to program, volumes to folders.

`meshtrail/<service>-<language>[-otel]` is the service of that name in the repository, built first if need be;
`python:*` with a command that starts Python runs with this interpreter. Paths below a mount are replaced by the folder
that plays the volume.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from meshtrail.errors import ManifestError, Problem
from meshtrail.local import toolchains
from meshtrail.local.process import Program
from meshtrail.manifests.kinds import ConfigMap, Container, Deployment

OWN_IMAGE = re.compile(
    r"(?:[^@\s]+/)?meshtrail/(?P<service>[a-z0-9][a-z0-9-]*)-(?P<language>python|node|go)(?P<otel>-otel)?"
    r"(?::[\w.-]+)?(?:@\S+)?"
)
PYTHON_IMAGE = re.compile(r"(?:[^@\s]+/)?python(?::[\w.-]+)?(?:@\S+)?")
PYTHON_COMMAND = re.compile(r"(?:/usr(?:/local)?/bin/)?python(?:3(?:\.\d+)?)?")
IMAGE_FIELD = "spec.template.spec.containers[0].image"
COMMAND_FIELD = "spec.template.spec.containers[0].command"
# What a process gets of the surroundings; everything else comes from the manifest.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
# A service is one small process: more arenas cost memory and win nothing.
SMALL = {"MALLOC_ARENA_MAX": "2"}


def surroundings() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def service_program(
    deployment: Deployment,
    environment: Mapping[str, str],
    config_maps: Mapping[tuple[str, str, str], ConfigMap],
    *,
    root: Path,
    folder: Path,
) -> Program:
    """The program of a Deployment's container; `environment` is the container's own, `folder` the pod's.

    Raises ManifestError for an image that is not known here or a volume whose source is missing, MeshtrailError when
    what the image's language needs is not installed, or its program does not build.
    """
    container = deployment.containers[0]
    mounts = _mounts(deployment, container, config_maps, folder)
    env = surroundings() | SMALL
    env |= {name: replace_paths(value, mounts) for name, value in environment.items()}
    if "/tmp" in mounts:  # noqa: S108 - the container's, which a folder plays
        env["TMPDIR"] = mounts["/tmp"]  # noqa: S108
    command = [replace_paths(part, mounts) for part in container.command]
    arguments = [replace_paths(part, mounts) for part in container.args]
    own = OWN_IMAGE.fullmatch(container.image)
    if own is not None:
        language, form = own["language"], "otel" if own["otel"] else "plain"
        known = toolchains.Implementation(own["service"], language, form)
        if known not in toolchains.implementations(root):
            raise _no_program(deployment, container.image, root)
        env |= toolchains.environment(root, known.service, language)
        # A command of the manifest's own starts this interpreter, whatever the image is for.
        start = _python(deployment, command) if command else toolchains.command(root, known.service, language, form)
    elif PYTHON_IMAGE.fullmatch(container.image):
        start = _python(deployment, command)
    else:
        raise _refused(
            deployment,
            IMAGE_FIELD,
            f"the local mesh cannot run the image '{container.image}'",
            "use meshtrail/<service>-<language>[-otel], or python:* with a command that starts python3",
        )
    return Program(argv=(*start, *arguments), env=env, cwd=folder)


def write_volumes(
    deployment: Deployment, config_maps: Mapping[tuple[str, str, str], ConfigMap], *, folder: Path
) -> None:
    """Make the folders of a pod and write the files of its ConfigMaps and Secrets; what an emptyDir holds stays."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for volume in deployment.volumes:
        place = folder / "volumes" / volume.name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = _source(deployment, volume.config_map, volume.secret, config_maps)
        if source is None:
            continue
        for name, text in source.data.items():
            new = place / f".{name}.new"
            new.write_text(text, encoding="utf-8")
            new.replace(place / name)
        for path in place.iterdir():
            if path.name not in source.data:
                path.unlink()


def replace_paths(text: str, mounts: Mapping[str, str]) -> str:
    """`text` with each path below a mount replaced: a whole value, or inside one (`sqlite:////data/x.db`)."""
    for mount in sorted(mounts, key=len, reverse=True):
        # Not in the middle of another path or of a URL's.
        pattern = rf"(?<![\w.-]){re.escape(mount)}(?![\w.-])"
        replaced = re.sub(pattern, lambda _, folder=mounts[mount]: folder, text)  # type: ignore[misc]
        if replaced != text:
            return replaced
    return text


def _mounts(
    deployment: Deployment,
    container: Container,
    config_maps: Mapping[tuple[str, str, str], ConfigMap],
    folder: Path,
) -> dict[str, str]:
    for volume in deployment.volumes:
        _source(deployment, volume.config_map, volume.secret, config_maps)
    return {
        mount.mount_path.rstrip("/"): str(folder / "volumes" / mount.name / mount.sub_path).rstrip("/")
        for mount in container.volume_mounts
    }


def _source(
    deployment: Deployment, config_map: str, secret: str, config_maps: Mapping[tuple[str, str, str], ConfigMap]
) -> ConfigMap | None:
    if not config_map and not secret:
        return None
    kind, name = ("ConfigMap", config_map) if config_map else ("Secret", secret)
    found = config_maps.get((kind, deployment.meta.namespace, name))
    if found is None:
        raise _refused(
            deployment,
            "spec.template.spec.volumes",
            f"{kind} {deployment.meta.namespace}/{name} does not exist",
            f"add the {kind} or correct the name",
        )
    return found


def _no_program(deployment: Deployment, image: str, root: Path) -> ManifestError:
    available = sorted(one.image for one in toolchains.implementations(root))
    return _refused(
        deployment,
        IMAGE_FIELD,
        f"the local mesh has no program for the image '{image}'",
        f"take one of: {', '.join(available) or 'none found in services/'}",
    )


def _python(deployment: Deployment, command: list[str]) -> list[str]:
    if not command or not PYTHON_COMMAND.fullmatch(command[0]):
        raise _refused(
            deployment,
            COMMAND_FIELD,
            f"the local mesh runs Python only, not {command or 'an image without a command'}",
            "write a command that starts with python3",
        )
    return [sys.executable, "-u", *command[1:]]


def _refused(deployment: Deployment, field: str, message: str, mend: str) -> ManifestError:
    meta = deployment.meta
    return ManifestError([Problem(message, file=meta.file, line=meta.line, object=meta.ref, field=field, mend=mend)])
