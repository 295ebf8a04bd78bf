"""Zipkin tags that describe the resource and not the span: OpenTelemetry's resource conventions (v1.15).

Zipkin has no resource, so exporters flatten it into tags; the receiver lifts these back.
"""

from __future__ import annotations

SERVICE_NAME_SOURCE = "otlp.service.name.source"
SCOPE_NAME = "otel.library.name"
SCOPE_VERSION = "otel.library.version"

_BY_PREFIX = {
    "cloud": "provider account.id region availability_zone platform",
    "aws": (
        "ecs.container.arn ecs.cluster.arn ecs.launchtype ecs.task.arn ecs.task.family ecs.task.revision "
        "eks.cluster.arn log.group.names log.group.arns log.stream.names log.stream.arns"
    ),
    "container": "name id runtime image.name image.tag",
    "deployment": "environment",
    "device": "id model.identifier model.name manufacturer",
    "faas": "name id version instance max_memory",
    "host": "id name type arch image.name image.id image.version",
    "k8s": (
        "cluster.name node.name node.uid namespace.name pod.uid pod.name container.name container.restart_count "
        "replicaset.uid replicaset.name deployment.uid deployment.name statefulset.uid statefulset.name "
        "daemonset.uid daemonset.name job.uid job.name cronjob.uid cronjob.name"
    ),
    "os": "type description name version",
    "process": (
        "pid executable.name executable.path command command_line command_args owner "
        "runtime.name runtime.version runtime.description"
    ),
    "service": "name namespace instance.id version",
    "telemetry": "sdk.name sdk.language sdk.version auto.version",
    "webengine": "name version description",
    # The three that OpenCensus used.
    "opencensus": "starttime exporterversion resourcetype",
}

RESOURCE_KEYS = frozenset(f"{prefix}.{name}" for prefix, names in _BY_PREFIX.items() for name in names.split())
