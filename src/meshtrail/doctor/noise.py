"""Which requests are health checks."""

from __future__ import annotations

PATHS = frozenset(
    {"/healthz", "/readyz", "/livez", "/health", "/-/healthy", "/-/ready", "/grpc.health.v1.Health/Check"}
)
BELOW = ("/healthz/", "/readyz/", "/livez/", "/health/", "/actuator/health")
AGENTS = ("kube-probe/", "GoogleHC/", "ELB-HealthChecker/", "Consul Health Check", "Envoy/HC")


def is_health_path(path: str) -> bool:
    return path.rstrip("/") in PATHS or path.startswith(BELOW)


def is_prober(agent: str) -> bool:
    return agent.startswith(AGENTS)
