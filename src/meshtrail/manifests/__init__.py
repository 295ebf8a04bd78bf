"""Kubernetes and Istio manifests: read from files and kustomizations into typed objects, or refused with file, object and field."""
