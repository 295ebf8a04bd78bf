"""Kubernetes and Istio manifests: read into typed objects, or refused with file, object and field."""

from meshtrail.manifests.loading import Manifests, load
from meshtrail.manifests.meshconfig import read_mesh_config

__all__ = ["Manifests", "load", "read_mesh_config"]
