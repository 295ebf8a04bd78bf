"""Namespace, Service, Deployment, ConfigMap, Secret: what is read, and each mistake with its near miss."""

from __future__ import annotations

import pytest

from meshtrail.manifests import kinds

from .conftest import Read, Refuse

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: backend, namespace: shop, labels: {app: backend}}
spec:
  selector: {app: backend}
  ports: [{name: http, port: 8080}]
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: backend, namespace: shop}
spec:
  selector: {matchLabels: {app: backend}}
  template:
    metadata: {labels: {app: backend}}
    spec:
      containers:
      - name: backend
        image: backend:1
"""


def test_service(read: Read) -> None:
    text = SERVICE.replace(
        "[{name: http, port: 8080}]",
        "[{name: http, port: 80, targetPort: web, appProtocol: http2}, {name: tcp-x, port: 81, targetPort: 9000}]",
    )
    (found,) = read(text).of(kinds.Service)
    assert found.meta.ref == "Service shop/backend"
    assert found.meta.labels == {"app": "backend"}
    assert found.meta.line == 1
    assert found.selector == {"app": "backend"}
    assert found.ports == (kinds.ServicePort("http", 80, "web", "http2"), kinds.ServicePort("tcp-x", 81, 9000))


def test_target_port_is_the_port_unless_given(read: Read) -> None:
    (found,) = read(SERVICE).of(kinds.Service)
    assert found.ports == (kinds.ServicePort("http", 8080, 8080),)


@pytest.mark.parametrize(
    ("wrong", "right", "field", "part"),
    [
        ("port: 70000", "port: 65535", "spec.ports[0].port", "70000 is out of range, allowed: 1 to 65535"),
        ("port: 0", "port: 1", "spec.ports[0].port", "out of range"),
        ("port: http", "port: 80", "spec.ports[0].port", "must be a whole number, not the string 'http'"),
        ("port: true", "port: 80", "spec.ports[0].port", "not the boolean true"),
        ("port: 80, prot: TCP", "port: 80, protocol: TCP", "spec.ports[0].prot", "unknown field"),
        ("port: 80, protocol: tcp", "port: 80, protocol: TCP", "spec.ports[0].protocol", "is not one of"),
        ("port: 80, targetPort: Http", "port: 80, targetPort: http", "spec.ports[0].targetPort", "not a port name"),
        ("port: 80, targetPort: '80'", "port: 80, targetPort: 80", "spec.ports[0].targetPort", "not a port name"),
        ("port: 80, protocol: UDP", "port: 80", "spec.ports[0].protocol", "protocol UDP is not carried out"),
        ("port: 80}, {port: 81", "port: 80}, {name: b, port: 81", "spec.ports", "needs a name"),
        (
            "port: 80}, {name: b, port: 80",
            "port: 80}, {name: b, port: 81",
            "spec.ports",
            "port number 80 is used twice",
        ),
    ],
)
def test_service_mistakes(read: Read, refuse: Refuse, wrong: str, right: str, field: str, part: str) -> None:
    problems = refuse(SERVICE.replace("port: 8080", wrong))
    assert [problem.field for problem in problems] == [field]
    assert part in problems[0].message
    read(SERVICE.replace("port: 8080", right))


@pytest.mark.parametrize(
    ("refused", "taken"),
    [
        ("type: ExternalName", "type: LoadBalancer"),
        ("clusterIP: None", "clusterIP: 10.0.0.1"),
        ("sessionAffinity: ClientIP", "sessionAffinity: None"),
        ("externalName: a.example", "externalTrafficPolicy: Local"),
    ],
)
def test_service_values_that_are_not_carried_out(read: Read, refuse: Refuse, refused: str, taken: str) -> None:
    (problem,) = refuse(f"{SERVICE}  {refused}\n")
    assert "not carried out by the local mesh" in problem.message
    read(f"{SERVICE}  {taken}\n")


def test_deployment_with_everything_that_is_carried_out(read: Read) -> None:
    text = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: backend, namespace: shop}
spec:
  replicas: 2
  strategy: {type: Recreate}
  selector: {matchLabels: {app: backend}}
  template:
    metadata:
      labels: {app: backend, version: v1}
      annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: "4317, 4318"}
    spec:
      serviceAccountName: backend
      terminationGracePeriodSeconds: 15
      securityContext: {runAsNonRoot: true, anythingBelowIsNotChecked: true}
      containers:
      - name: backend
        image: backend:1
        command: [python3, -m, backend]
        args: [x]
        workingDir: /app
        env:
        - {name: A, value: "1"}
        - {name: EMPTY}
        - {name: B, valueFrom: {configMapKeyRef: {name: settings, key: b}}}
        - {name: C, valueFrom: {secretKeyRef: {name: keys, key: c, optional: true}}}
        - {name: D, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: E, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
        envFrom:
        - {prefix: P_, configMapRef: {name: settings}}
        - {secretRef: {name: keys, optional: true}}
        ports: [{name: http, containerPort: 8080}, {containerPort: 53, protocol: TCP}]
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
        livenessProbe: {httpGet: {path: healthz, port: 8080}}
        startupProbe: {httpGet: {port: 8080}}
        resources: {limits: {memory: 1Gi}}
        volumeMounts: [{name: tmp, mountPath: /tmp}, {name: app, mountPath: /app/a.py, subPath: a.py, readOnly: true}]
      volumes: [{name: tmp, emptyDir: {}}, {name: app, configMap: {name: app}}, {name: s, secret: {secretName: keys}}]
"""
    (found,) = read(text).of(kinds.Deployment)
    assert (found.replicas, found.service_account, found.grace_seconds) == (2, "backend", 15.0)
    assert found.labels == {"app": "backend", "version": "v1"}
    assert found.annotations == {"traffic.sidecar.istio.io/excludeOutboundPorts": "4317, 4318"}
    assert found.volumes == (
        kinds.Volume("tmp", empty_dir=True),
        kinds.Volume("app", config_map="app"),
        kinds.Volume("s", secret="keys"),
    )
    (container,) = found.containers
    assert container.command == ("python3", "-m", "backend")
    assert container.args == ("x",)
    assert container.working_dir == "/app"
    assert container.env == (
        kinds.EnvVar("A", value="1"),
        kinds.EnvVar("EMPTY", value=""),
        kinds.EnvVar("B", key_ref=kinds.KeyRef("ConfigMap", "settings", "b")),
        kinds.EnvVar("C", key_ref=kinds.KeyRef("Secret", "keys", "c", optional=True)),
        kinds.EnvVar("D", field_path="status.podIP"),
        kinds.EnvVar("E", field_path="metadata.labels['app']"),
    )
    assert container.env_from == (
        kinds.EnvFrom("ConfigMap", "settings", "P_"),
        kinds.EnvFrom("Secret", "keys", optional=True),
    )
    assert container.ports == (kinds.ContainerPort(8080, "http"), kinds.ContainerPort(53))
    assert container.readiness == kinds.HttpProbe("/readyz", "http")
    assert container.liveness == kinds.HttpProbe("/healthz", 8080)
    assert container.startup == kinds.HttpProbe("/", 8080)
    assert container.volume_mounts == (kinds.VolumeMount("tmp", "/tmp"), kinds.VolumeMount("app", "/app/a.py", "a.py"))


# What is added to the container, the field it is found at, the message, and what is right.
CONTAINER = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("wrong", "field", "part", "right"),
    [
        (
            "env: [{name: A, value: 1}]",
            "env[0].value",
            "must be a string, not the number 1",
            "env: [{name: A, value: '1'}]",
        ),
        ("env: [{name: A, value: on}]", "env[0].value", "not the boolean true", "env: [{name: A, value: 'on'}]"),
        ("env: [{value: a}]", "env[0].name", "is required", "env: [{name: A, value: a}]"),
        ("env: [{name: 1A, value: a}]", "env[0].name", "not the name of an", "env: [{name: A1, value: a}]"),
        ("env: [{name: A, valu: a}]", "env[0].valu", "unknown field 'valu'", "env: [{name: A, value: a}]"),
        (
            "env: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
            "env[0].valueFrom",
            "only one of",
            "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
        ),
        (
            "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.nam}}}]",
            "env[0].valueFrom.fieldRef.fieldPath",
            "not a field of the downward API",
            "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}]",
        ),
        (
            "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]",
            "env[0].valueFrom.resourceFieldRef",
            "not carried out",
            "env: [{name: A}]",
        ),
        ("readinessProbe: {exec: {command: [a]}}", "readinessProbe.exec", "not carried out", "stdin: true"),
        ("readinessProbe: {}", "readinessProbe.httpGet", "is required", "readinessProbe: {httpGet: {port: 1}}"),
        (
            "livenessProbe: {httpGet: {port: 8080, scheme: HTTPS}}",
            "livenessProbe.httpGet.scheme",
            "over HTTPS is not carried out",
            "livenessProbe: {httpGet: {port: 8080, scheme: HTTP}}",
        ),
        ("ports: [{containerPort: 99999}]", "ports[0].containerPort", "out of range", "ports: [{containerPort: 1}]"),
        (
            "ports: [{containerPort: 1, name: this-name-is-long}]",
            "ports[0].name",
            "at most 15",
            "ports: [{containerPort: 1, name: fifteen-letters}]",
        ),
        ("comand: [a]", "comand", "unknown field 'comand'", "command: [a]"),
        ("command: a", "command", "must be a list, not the string 'a'", "command: [a]"),
        ("envFrom: [{}]", "envFrom[0]", "needs one of", "envFrom: [{configMapRef: {name: a}}]"),
    ],
)
def test_container_mistakes(read: Read, refuse: Refuse, wrong: str, field: str, part: str, right: str) -> None:
    problems = refuse(f"{DEPLOYMENT}        {wrong}\n")
    assert [problem.field for problem in problems] == [f"{CONTAINER}.{field}"]
    assert part in problems[0].message
    assert problems[0].line == 12
    read(f"{DEPLOYMENT}        {right}\n")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("labels: {app: backend}}\n    spec", "labels: {app: other}}\n    spec", "selects app=backend, which"),
        ("labels: {app: backend}}\n    spec", "labels: {app: 'a b'}}\n    spec", "is not a label value"),
        ("labels: {app: backend}}\n    spec", "labels: {app: 1}}\n    spec", "must be a string, not the number 1"),
        ("      containers:", "      initContainers: [{name: a}]\n      containers:", "not carried out"),
        ("      containers:", "      containers:\n      - {name: a, image: b}", "more than one container is not"),
        ("spec:\n  selector", "spec:\n  replicas: -1\n  selector", "-1 is out of range, allowed: 0 or more"),
        ("spec:\n  selector", "spec:\n  replica: 1\n  selector", "unknown field 'replica'"),
        ("      containers:", "      volumes: [{name: a, hostPath: {path: /}}]\n      containers:", "not carried out"),
        ("      containers:", "      volumes: [{name: a}]\n      containers:", "needs one of configMap"),
        ("image: backend:1", "image: backend:1\n        volumeMounts: [{name: a, mountPath: /a}]", "is not declared"),
        ("        image: backend:1", "        image:", "is required"),
        ("{matchLabels: {app: backend}}", "{matchExpressions: []}", "is required"),
        (
            "metadata: {labels: {app: backend}}",
            "metadata: {labels: {app: backend}, annotations: {proxy.istio.io/config: x}}",
            "this annotation is not carried out",
        ),
        (
            "metadata: {labels: {app: backend}}",
            "metadata: {labels: {app: backend}, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: 80-90}}",
            "'80-90' is not a port",
        ),
    ],
)
def test_deployment_mistakes(read: Read, refuse: Refuse, old: str, new: str, part: str) -> None:
    read(DEPLOYMENT)
    assert old in DEPLOYMENT
    assert any(part in problem.message for problem in refuse(DEPLOYMENT.replace(old, new, 1)))


def test_config_map_and_secret(read: Read, refuse: Refuse) -> None:
    text = """\
apiVersion: v1
kind: {kind}
metadata: {{name: a}}
{data}
"""
    (found,) = read(text.format(kind="ConfigMap", data='data: {A: "1"}')).of(kinds.ConfigMap)
    assert dict(found.data) == {"A": "1"}
    (found,) = read(text.format(kind="Secret", data="data: {A: cGFzcw==}\nstringData: {B: open}")).of(kinds.ConfigMap)
    assert dict(found.data) == {"A": "pass", "B": "open"}
    assert found.meta.kind == "Secret"
    (problem,) = refuse(text.format(kind="Secret", data="data: {A: hunter2!}"))
    assert "is not base64" in problem.message
    assert "hunter2" not in str(problem)
    (problem,) = refuse(text.format(kind="ConfigMap", data="data: {A: 1}"))
    assert problem.field == "data.A"


def test_namespace_has_no_namespace(read: Read) -> None:
    (key,) = read("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {istio-injection: enabled}}\n")
    assert key == ("Namespace", "", "a")
