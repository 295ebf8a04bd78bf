"""Envoy configuration for each proxy, generated from the mesh model as istiod would."""

from meshtrail.envoy.command import DRAIN_SECONDS, command
from meshtrail.envoy.generate import generate
from meshtrail.envoy.proxy import ProxyConfig, write

__all__ = ["DRAIN_SECONDS", "ProxyConfig", "command", "generate", "write"]
