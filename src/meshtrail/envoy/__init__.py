"""Envoy configuration for each proxy, generated from the mesh model as istiod would."""
