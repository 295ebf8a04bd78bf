"""Deployment: pod template, container, environment, probes and volumes."""

from __future__ import annotations

import re

from meshtrail.manifests import kinds
from meshtrail.manifests.kubernetes import META, OBJECT, port_name, port_reference, read_labels
from meshtrail.manifests.reader import Fields, message

DEPLOYMENT = message("Deployment", f"{OBJECT} spec", inert="status")
DEPLOYMENT_SPEC = message(
    "Deployment.spec",
    "replicas selector template",
    inert="strategy minReadySeconds revisionHistoryLimit paused progressDeadlineSeconds",
)
SELECTOR = message("Deployment.spec.selector", "matchLabels", refused={"matchExpressions": "use matchLabels"})
TEMPLATE = message("Deployment.spec.template", "metadata spec")
POD = message(
    "Deployment.spec.template.spec",
    "containers volumes serviceAccountName terminationGracePeriodSeconds",
    inert="serviceAccount automountServiceAccountToken securityContext affinity tolerations nodeSelector nodeName "
    "topologySpreadConstraints priorityClassName priority preemptionPolicy restartPolicy schedulerName "
    "imagePullSecrets enableServiceLinks dnsPolicy hostname subdomain runtimeClassName overhead readinessGates os "
    "schedulingGates setHostnameAsFQDN hostnameOverride resources",
    refused={
        "initContainers": "do its work in the container, or put it into the image",
        "ephemeralContainers": "",
        "hostNetwork": "",
        "hostPID": "",
        "hostIPC": "",
        "hostUsers": "",
        "hostAliases": "",
        "dnsConfig": "",
        "shareProcessNamespace": "",
        "activeDeadlineSeconds": "",
        "resourceClaims": "",
    },
)
CONTAINER = message(
    "container",
    "name image command args env envFrom ports readinessProbe livenessProbe startupProbe volumeMounts workingDir",
    inert="imagePullPolicy resources securityContext lifecycle terminationMessagePath terminationMessagePolicy "
    "resizePolicy stdin stdinOnce tty restartPolicy",
    refused="volumeDevices restartPolicyRules",
)
CONTAINER_PORT = message("container.ports[]", "name containerPort protocol", inert="hostPort hostIP")
ENV = message("container.env[]", "name value valueFrom")
VALUE_FROM = message(
    "container.env[].valueFrom",
    "configMapKeyRef secretKeyRef fieldRef",
    refused={"resourceFieldRef": "give the value itself", "fileKeyRef": ""},
)
KEY_REF = message("configMapKeyRef, secretKeyRef", "name key optional")
FIELD_REF = message("fieldRef", "fieldPath", inert="apiVersion")
ENV_FROM = message("container.envFrom[]", "prefix configMapRef secretRef")
NAME_REF = message("configMapRef, secretRef", "name optional")
PROBE = message(
    "probe",
    "httpGet",
    inert="initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold "
    "terminationGracePeriodSeconds",
    refused=dict.fromkeys(("exec", "tcpSocket", "grpc"), "use httpGet"),
)
HTTP_GET = message("probe.httpGet", "path port scheme", refused="host httpHeaders")
VOLUME_MOUNT = message(
    "container.volumeMounts[]",
    "name mountPath subPath",
    inert="readOnly mountPropagation recursiveReadOnly",
    refused="subPathExpr",
)
_OTHER_VOLUMES = (
    "projected downwardAPI persistentVolumeClaim hostPath ephemeral csi nfs image iscsi awsElasticBlockStore azureDisk "
    "azureFile cephfs cinder fc flexVolume flocker gcePersistentDisk gitRepo glusterfs photonPersistentDisk "
    "portworxVolume quobyte rbd scaleIO storageos vsphereVolume"
)
VOLUME = message(
    "volumes[]",
    "name configMap secret emptyDir",
    refused=dict.fromkeys(_OTHER_VOLUMES.split(), "use configMap, secret or emptyDir"),
)
CONFIG_MAP_VOLUME = message("volumes[].configMap", "name", inert="defaultMode", refused="items optional")
SECRET_VOLUME = message("volumes[].secret", "secretName", inert="defaultMode", refused="items optional")
EMPTY_DIR = message("volumes[].emptyDir", inert="medium sizeLimit")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*\Z", re.ASCII)
_KEYED_FIELD = re.compile(r"metadata\.(?:labels|annotations)\['[^']+'\]\Z")
_FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.podIP",
    "status.hostIP",
)


def deployment(top: Fields, meta: kinds.Meta) -> kinds.Deployment:
    nothing = kinds.Deployment(meta, 0, {}, {}, ())
    spec = top.fields("spec", DEPLOYMENT_SPEC, required=True)
    if spec is None:
        return nothing
    selector = spec.fields("selector", SELECTOR, required=True)
    template = spec.fields("template", TEMPLATE, required=True)
    if template is None:
        return nothing
    template_meta = template.fields("metadata", META)
    labels = read_labels(template_meta) if template_meta else {}
    annotations = read_pod_annotations(template_meta) if template_meta else {}
    if selector is not None:
        wanted = selector.labels("matchLabels", required=True)
        for name, value in wanted.items():
            if labels.get(name) != value:
                selector.error(
                    f"selects {name}={value}, which the pod template does not carry",
                    "matchLabels",
                    f"add {name}: {value} to spec.template.metadata.labels",
                )
    pod = template.fields("spec", POD, required=True)
    if pod is None:
        return nothing
    containers = [container(item) for item in pod.all_fields("containers", CONTAINER, required=True)]
    if len(containers) > 1:
        pod.not_carried_out("containers", "one container a Deployment", "more than one container")
        containers = containers[:1]
    volumes = [volume(item) for item in pod.all_fields("volumes", VOLUME)]
    names = {item.name for item in volumes}
    for one in containers:
        for mount in one.volume_mounts:
            if mount.name not in names:
                pod.error(f"container {one.name} mounts the volume {mount.name!r}, which is not declared", "volumes")
    grace = pod.get("terminationGracePeriodSeconds")
    return kinds.Deployment(
        meta=meta,
        replicas=spec.integer("replicas", 0, default=1),
        labels=labels,
        annotations=annotations,
        containers=tuple(containers),
        volumes=tuple(volumes),
        service_account=pod.text("serviceAccountName", "default"),
        grace_seconds=float(grace.integer(0)) if grace else 30.0,
    )


# Istio annotations of a pod that change what its sidecar does, and that the local mesh does not follow.
REFUSED_ANNOTATIONS = {
    "proxy.istio.io/config": "give it mesh-wide in meshConfig.defaultConfig, or use a Telemetry",
    "traffic.sidecar.istio.io/includeInboundPorts": "use traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundPorts": "use traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges": "use traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": "use traffic.sidecar.istio.io/excludeOutboundPorts",
    "inject.istio.io/templates": "",
    "sidecar.istio.io/bootstrapOverride": "",
}


def read_pod_annotations(meta: Fields) -> dict[str, str]:
    """The annotations of a pod template. Annotations are free text to Kubernetes; Istio reads some."""
    found = meta.get("annotations")
    out = {}
    for name, value in found.entries() if found else []:
        if name in REFUSED_ANNOTATIONS:
            value.scope.not_carried_out(value.mark, value.path, REFUSED_ANNOTATIONS[name], "this annotation")
        text = value.text()
        if name.endswith(("/excludeInboundPorts", "/excludeOutboundPorts")):
            for port in filter(None, text.split(",")):
                if not (port.strip().isascii() and port.strip().isdigit() and 0 < int(port.strip()[:6]) < 65536):
                    value.error(f"{port[:60]!r} is not a port", 'write port numbers, "4317,4318"')
        out[name] = text
    return out


def container(fields: Fields) -> kinds.Container:
    return kinds.Container(
        name=fields.text("name", required=True),
        image=fields.text("image", required=True),
        command=fields.strings("command"),
        args=fields.strings("args"),
        env=tuple(env_var(item) for item in fields.all_fields("env", ENV)),
        env_from=tuple(env_from(item) for item in fields.all_fields("envFrom", ENV_FROM)),
        ports=tuple(container_ports(fields)),
        readiness=probe(fields, "readinessProbe"),
        liveness=probe(fields, "livenessProbe"),
        startup=probe(fields, "startupProbe"),
        volume_mounts=tuple(
            kinds.VolumeMount(
                name=item.text("name", required=True),
                mount_path=item.text("mountPath", required=True),
                sub_path=item.text("subPath"),
            )
            for item in fields.all_fields("volumeMounts", VOLUME_MOUNT)
        ),
        working_dir=fields.text("workingDir"),
    )


def container_ports(fields: Fields) -> list[kinds.ContainerPort]:
    ports = []
    for item in fields.all_fields("ports", CONTAINER_PORT):
        if item.text("protocol", "TCP", choices=("TCP", "UDP", "SCTP")) != "TCP":
            item.not_carried_out("protocol", "", "a protocol other than TCP")
            continue
        ports.append(
            kinds.ContainerPort(item.integer("containerPort", 1, 65535, required=True), port_name(item.get("name")))
        )
    return ports


def env_var(fields: Fields) -> kinds.EnvVar:
    name = fields.text("name", required=True)
    if name and not _ENV_NAME.match(name):
        fields.error(f"{name[:60]!r} is not the name of an environment variable", "name")
    fields.exactly_one("value", "valueFrom", required=False)
    source = fields.fields("valueFrom", VALUE_FROM)
    if source is None:
        return kinds.EnvVar(name, value=fields.text("value"))
    refused = [one for one in VALUE_FROM.refused if one in source]
    source.exactly_one("configMapKeyRef", "secretKeyRef", "fieldRef", required=not refused)
    for field_name, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        ref = source.fields(field_name, KEY_REF)
        if ref is not None:
            return kinds.EnvVar(
                name,
                key_ref=kinds.KeyRef(
                    kind="ConfigMap" if kind == "ConfigMap" else "Secret",
                    name=ref.text("name", required=True),
                    key=ref.text("key", required=True),
                    optional=ref.boolean("optional"),
                ),
            )
    downward = source.fields("fieldRef", FIELD_REF)
    if downward is None:
        return kinds.EnvVar(name, value="")
    path = downward.text("fieldPath", required=True)
    if path and path not in _FIELD_PATHS and not _KEYED_FIELD.match(path):
        allowed = f"{', '.join(_FIELD_PATHS)}, metadata.labels['NAME'], metadata.annotations['NAME']"
        downward.error(f"{path[:60]!r} is not a field of the downward API", "fieldPath", f"allowed: {allowed}")
    return kinds.EnvVar(name, field_path=path)


def env_from(fields: Fields) -> kinds.EnvFrom:
    fields.exactly_one("configMapRef", "secretRef")
    prefix = fields.text("prefix")
    secret = fields.fields("secretRef", NAME_REF)
    ref = secret or fields.fields("configMapRef", NAME_REF)
    if ref is None:
        return kinds.EnvFrom("ConfigMap", "", prefix)
    return kinds.EnvFrom(
        "Secret" if secret else "ConfigMap", ref.text("name", required=True), prefix, ref.boolean("optional")
    )


def probe(fields: Fields, name: str) -> kinds.HttpProbe | None:
    found = fields.fields(name, PROBE)
    if found is None:
        return None
    # Another kind of probe has been reported already.
    get = found.fields("httpGet", HTTP_GET, required=not any(other in found for other in PROBE.refused))
    if get is None:
        return None
    if get.text("scheme", "HTTP", choices=("HTTP", "HTTPS")) == "HTTPS":
        get.not_carried_out("scheme", "use HTTP", "a probe over HTTPS")
    port = get.need("port")
    path = get.text("path", "/")
    return kinds.HttpProbe(path if path.startswith("/") else f"/{path}", port_reference(port) if port else 1)


def volume(fields: Fields) -> kinds.Volume:
    name = fields.text("name", required=True)
    refused = [one for one in VOLUME.refused if one in fields]
    sources = [one for one in ("configMap", "secret", "emptyDir") if one in fields]
    if len(sources) + len(refused) > 1:
        fields.error(f"only one of {', '.join(sources + refused)} may be given")
    elif not sources and not refused:
        fields.error("needs one of configMap, secret, emptyDir")
    config_map = fields.fields("configMap", CONFIG_MAP_VOLUME)
    secret = fields.fields("secret", SECRET_VOLUME)
    empty = fields.fields("emptyDir", EMPTY_DIR)
    return kinds.Volume(
        name=name,
        config_map=config_map.text("name", required=True) if config_map else "",
        secret=secret.text("secretName", required=True) if secret else "",
        empty_dir=empty is not None,
    )
