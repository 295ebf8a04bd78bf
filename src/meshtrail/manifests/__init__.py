"""Kubernetes and Istio manifests: read into typed objects, or refused with file, object and field."""
