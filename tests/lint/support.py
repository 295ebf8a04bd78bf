"""The lint over text, for tests."""

from __future__ import annotations

from pathlib import Path

from meshtrail.lint.finding import Finding
from meshtrail.lint.run import Report, lint

ROOT = Path(__file__).parents[2]

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  selector: {app: cart}
  ports: [{name: http, port: 8080}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: cart}]}
"""
CART = (NAMESPACE, SERVICE, DEPLOYMENT)
PLAIN = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
PEER = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: shop}\n"
PROBE = DEPLOYMENT.replace("image: cart", "image: cart, readinessProbe: {httpGet: {path: /up, port: 8080}}")
COLLECTOR = """
apiVersion: v1
kind: Service
metadata: {name: jaeger, namespace: tracing}
spec: {selector: {app: jaeger}, ports: [{name: PORT, port: 4317}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: jaeger, namespace: tracing}
spec: {template: {metadata: {labels: {app: jaeger}}, spec: {containers: [{name: j}]}}}
"""
MESH = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh}
spec:
  meshConfig:
    extensionProviders:
      - name: jaeger
        opentelemetry: {service: jaeger.tracing.svc.cluster.local, port: 4317}
      - name: zipkin
        zipkin: {service: zipkin.tracing.svc.cluster.local, port: 9411}
      - name: both
        zipkin: {service: zipkin.tracing.svc.cluster.local, port: 9411, traceContextOption: USE_B3_WITH_W3C_PROPAGATION}
"""


def telemetry(tracing: str, name: str = "mesh", namespace: str = "istio-system", selector: str = "") -> str:
    """A Telemetry; `tracing` and `selector` in YAML's short form."""
    chosen = f"selector: {selector}, " if selector else ""
    return f"""
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{chosen}tracing: [{tracing}]}}
"""


def names(provider: str) -> str:
    return f"{{providers: [{{name: {provider}}}], randomSamplingPercentage: 100}}"


def virtual_service(http: str, name: str = "cart", hosts: str = "[cart]", gateways: str = "") -> str:
    bound = f"gateways: {gateways}, " if gateways else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec: {{hosts: {hosts}, {bound}http: [{http}]}}
"""


def run(*documents: str) -> Report:
    """The report of documents applied together."""
    return lint(["-"], lambda: "\n---\n".join(documents))


def found(rule: str, *documents: str) -> list[Finding]:
    """What one rule says of them."""
    report = run(*documents)
    assert report.problems == ()
    return [one for one in report.findings if one.rule == rule]


def levels(rule: str, *documents: str) -> list[str]:
    return [one.level for one in found(rule, *documents)]


def port(text: str) -> str:
    return SERVICE.replace("[{name: http, port: 8080}]", f"[{text}]")


def annotated(text: str, document: str = DEPLOYMENT) -> str:
    return document.replace("{labels: {app: cart}}", "{labels: {app: cart}, annotations: {" + text + "}}")


def environment(**variables: str) -> str:
    listed = ", ".join(f'{{name: {name}, value: "{value}"}}' for name, value in variables.items())
    return DEPLOYMENT.replace("image: cart", f"image: cart, env: [{listed}]")
