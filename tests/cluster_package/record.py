"""Record what a real cluster answers, without what no rule looks at: the input of the tests beside this file.

    python -m tests.cluster_package.record NAMESPACE FILE

Reads the cluster that kubectl points at, with three-tier in that namespace (k8s/overlays/dev).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from meshtrail.cluster.kubectl import connect
from meshtrail.cluster.snapshot import ROOT, fetch

NOISE = frozenset(
    {
        "addressesHash",
        "affinity",
        "allocatable",
        "allocatedResources",
        "capacity",
        "clientConfig",
        "clusterIP",
        "clusterIPs",
        "conditions",
        "containerID",
        "daemonEndpoints",
        "dnsPolicy",
        "enableServiceLinks",
        "envFrom",
        "finalizers",
        "generateName",
        "hostIP",
        "hostIPs",
        "imageID",
        "images",
        "internalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "lastState",
        "lifecycle",
        "livenessProbeHash",
        "managedFields",
        "nodeInfo",
        "nodeName",
        "observedResources",
        "ownerReferences",
        "podIP",
        "podIPs",
        "preemptionPolicy",
        "priority",
        "progressDeadlineSeconds",
        "qosClass",
        "resourceVersion",
        "resources",
        "revisionHistoryLimit",
        "rules",
        "schedulerName",
        "securityContext",
        "serviceAccount",
        "sessionAffinity",
        "startTime",
        "started",
        "state",
        "strategy",
        "terminationGracePeriodSeconds",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tolerations",
        "uid",
        "user",
        "userHash",
        "volumeMounts",
        "volumes",
        "volumesAttached",
        "volumesInUse",
    }
)
# Of endpoints and Gateways the conditions are looked at.
KEPT_CONDITIONS = frozenset({"EndpointSlice", "Gateway", "HTTPRoute"})
OWN_ENVIRONMENT = frozenset({"PROPAGATION", "PROPAGATION_CONTROL", "PILOT_TRACE_SAMPLING", "PROXY_CONFIG"})


def trimmed(one: Any, kind: str) -> Any:
    """The object without noise; long annotations and the proxies' own variables are noise too."""
    if isinstance(one, list):
        return [trimmed(item, kind) for item in one]
    if not isinstance(one, dict):
        return one
    kept = {}
    for key, value in one.items():
        if key in NOISE and not (key == "conditions" and kind in KEPT_CONDITIONS):
            continue
        if key == "annotations":
            value = {name: text for name, text in value.items() if len(text) < 60 and "kubernetes.io" not in name}
        elif key == "env":
            value = [entry for entry in value if entry["name"] in OWN_ENVIRONMENT]
        elif key in ("args", "command"):
            continue
        kept[key] = trimmed(value, kind)
    return kept


def main(namespace: str, file: str) -> None:
    found = fetch(connect(), namespace)
    # Not what else was on that cluster.
    items = [one for one in found.items if one["kind"] != "Namespace" or one["metadata"]["name"] in (namespace, ROOT)]
    recorded = {
        "context": found.context,
        "server": found.server,
        "version": found.version,
        "apis": sorted(found.apis),
        "namespace": found.namespace,
        "mesh": found.mesh,
        "items": [trimmed(one, one["kind"]) for one in items],
    }
    Path(file).write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
