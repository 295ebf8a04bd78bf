"""Where the OpenTelemetry SDK of an application sends its spans."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from meshtrail.lint.bundle import Bundle
from meshtrail.lint.environment import Address, Variable, address, service_of, variables
from meshtrail.lint.finding import Found
from meshtrail.lint.ports import ports
from meshtrail.lint.rule import error, note, rule, warning
from meshtrail.lint.workload import PROXY, Workload

GENERAL, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
GRPC_PORT, HTTP_PORT = 4317, 4318
LOCAL = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "[::1]"})
EXCLUDE = "traffic.sidecar.istio.io/excludeOutboundPorts"
INJECTED_COLLECTOR = "sidecar.opentelemetry.io/inject"


def _endpoints(bundle: Bundle) -> Iterator[tuple[Workload, Variable, str]]:
    """Each endpoint of a container with the protocol that is set beside it, "" for none."""
    for one in bundle.workloads:
        for container in one.containers:
            if container.name == PROXY:
                continue
            found = variables(bundle, one, container)
            protocol = next((found[name].value.strip().lower() for name in PROTOCOLS if name in found), "")
            for name in (GENERAL, TRACES):
                if name in found and found[name].value.strip():
                    yield one, found[name], protocol


@rule(
    "exporter-endpoint",
    "An application exports its spans to nowhere",
    "error",
    "warning",
    why="""The sidecars' spans arrive, the application's own do not, and sidecars behind it point to a parent that
    is missing. Exporters say so in a log line at most. Port 4317 is OTLP over gRPC, 4318 OTLP over HTTP;
    OTEL_EXPORTER_OTLP_ENDPOINT gets `/v1/traces` added over HTTP, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it
    is.""",
    mend="""`OTEL_EXPORTER_OTLP_ENDPOINT=http://COLLECTOR.NAMESPACE:4318` with
    `OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`.""",
    conditions="""Protocol and port are compared where the protocol is set. A Service is missed where Services of
    its namespace are in the manifests (a warning where those are in another part of what is read).""",
)
def exporter_endpoint(bundle: Bundle) -> Iterator[Found]:
    for one, variable, protocol in _endpoints(bundle):
        where = address(variable.value)
        if where is None:
            continue
        yield from _shape(variable, where, protocol)
        yield from _reach(bundle, one, variable, where)


def _shape(variable: Variable, where: Address, protocol: str) -> Iterator[Found]:
    one, path, http = variable.object, variable.path, protocol.startswith("http")
    if not where.scheme and protocol != "grpc":
        mend = f"write http://{variable.value}"
        yield warning(one, path, f"{variable.value!r} has no scheme: exporters refuse it or misread it", mend)
    if where.port == GRPC_PORT and http:
        yield error(one, path, f"{protocol} to port 4317, which takes gRPC", "use port 4318, or protocol grpc")
    elif where.port == HTTP_PORT and protocol == "grpc":
        yield error(one, path, "gRPC to port 4318, which takes HTTP", "use port 4317, or protocol http/protobuf")
    tail = where.path.rstrip("/")
    if variable.name == GENERAL and tail.endswith("/v1/traces") and protocol != "grpc":
        yield error(one, path, "/v1/traces is added to this variable: spans go to /v1/traces/v1/traces", "leave it out")
    elif variable.name == TRACES and not tail and (http or (where.port == HTTP_PORT and protocol != "grpc")):
        yield error(one, path, "this variable is taken as it is: spans go to / and are refused", "add /v1/traces")


def _reach(bundle: Bundle, one: Workload, variable: Variable, where: Address) -> Iterator[Found]:
    if where.host in LOCAL:
        beside = [container for container in one.containers if container.name != PROXY]
        if len(beside) == 1 and INJECTED_COLLECTOR not in one.annotations and one.spec("hostNetwork") is not True:
            text = f"{where.host} is the pod itself, which has no collector in it"
            yield warning(variable.object, variable.path, text, "name the collector's Service")
        return
    named = service_of(where.host, one.object.namespace)
    if named is None or bundle.has_entry(where.host):
        return
    name, namespace = named
    services, known = bundle.service(name, namespace), bundle.knows_services(namespace)
    if not services:
        if known:
            close = difflib.get_close_matches(name, known, n=1)
            found = error if namespace in bundle.own.services else warning
            place = f" in namespace {namespace}" if namespace else ""
            mend = f"did you mean {close[0]!r}?" if close else "name the collector's Service"
            yield found(variable.object, variable.path, f"no Service {name!r}{place}", mend)
        return
    numbers = [port.number for service in services for port in ports(service)]
    if where.port is not None and numbers and where.port not in numbers:
        have = ", ".join(str(number) for number in sorted(set(numbers)))
        text = f"{services[0].title} has no port {where.port}"
        yield error(variable.object, variable.path, text, f"it has {have}")


@rule(
    "export-traced",
    "Deliveries of spans are traced themselves",
    "note",
    why="""An application's export goes through its sidecar like any other request and makes spans: one more trace
    for each delivery, of the caller that is seen most often.""",
    mend='Annotate the pod template `traffic.sidecar.istio.io/excludeOutboundPorts: "4317,4318"`.',
    conditions="Only for pods that are known to have a sidecar, and not for endpoints within the pod.",
)
def export_traced(bundle: Bundle) -> Iterator[Found]:
    seen = set()
    for one, variable, _ in _endpoints(bundle):
        where = address(variable.value)
        if where is None or where.host in LOCAL or bundle.membership(one) != "sidecar" or one.object.key in seen:
            continue
        port = where.port or (443 if where.scheme == "https" else 80)
        excluded = {part.strip() for part in one.annotations.get(EXCLUDE, "").split(",")}
        if str(port) not in excluded and "*" not in excluded and where.scheme != "https":
            seen.add(one.object.key)
            text = f"the export to port {port} goes through the sidecar, which traces each delivery"
            yield note(variable.object, variable.path, text, f'annotate the pods {EXCLUDE}: "{port}"')
