"""Kubernetes: what runs, what it is told, and under which name it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from meshtrail.manifests.kinds.meta import Meta


@dataclass(frozen=True, slots=True)
class Namespace:
    meta: Meta


@dataclass(frozen=True, slots=True)
class ServicePort:
    """`target_port` is a number or the name of a container port; `app_protocol` wins over the port's name."""

    name: str
    port: int
    target_port: int | str
    app_protocol: str = ""
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Service:
    meta: Meta
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A value taken from a ConfigMap or Secret."""

    kind: Literal["ConfigMap", "Secret"]
    name: str
    key: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class EnvVar:
    """Exactly one of `value`, `key_ref`, `field_path` (downward API) is set."""

    name: str
    value: str | None = None
    key_ref: KeyRef | None = None
    field_path: str | None = None


@dataclass(frozen=True, slots=True)
class EnvFrom:
    kind: Literal["ConfigMap", "Secret"]
    name: str
    prefix: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ContainerPort:
    port: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """`port` is a number or the name of a container port."""

    path: str
    port: int | str


@dataclass(frozen=True, slots=True)
class VolumeMount:
    name: str
    mount_path: str
    sub_path: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume that can be made on a laptop: a ConfigMap, a Secret, or an empty folder."""

    name: str
    config_map: str = ""
    secret: str = ""
    empty_dir: bool = False


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    readiness: HttpProbe | None = None
    liveness: HttpProbe | None = None
    startup: HttpProbe | None = None
    volume_mounts: tuple[VolumeMount, ...] = ()
    working_dir: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """`labels` and `annotations` are those of the pod template."""

    meta: Meta
    replicas: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...] = ()
    service_account: str = "default"
    grace_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """Also a Secret (meta.kind tells), its values decoded."""

    meta: Meta
    data: Mapping[str, str]
