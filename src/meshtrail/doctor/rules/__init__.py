"""All rules, in the order in which docs/doctor.md has them. A rule is a function; this is what is said about it."""

from __future__ import annotations

from meshtrail.doctor.finding import Rule
from meshtrail.doctor.rules import decisions, edges, headers, parents, sight

RULES: tuple[Rule, ...] = (
    Rule(
        "headers-dropped",
        "A service drops the tracing headers",
        "error",
        "CLIENT spans without a parent that a sidecar made, and the SERVER spans of the same service and pod.",
        "Such a call belongs to a request when it begins while one is in progress at that pod that lacks this call. "
        "Over all "
        "calls of a service to one host together it asks how many begin so, whether chance would give as many, and "
        "whether "
        "the requests without the call are as many as the calls without a request. Below 100 % sampling, where the two "
        "are rarely seen together, the numbers alone are compared. When calls were whole before, it says since when; "
        "when "
        "they are whole again, it is a note.",
        "Copy the tracing headers of the incoming request to the outgoing one in that service "
        "([services](services.md) has "
        "the list); with an SDK, instrument the HTTP client and see OTEL_PROPAGATORS.",
        "A timer or a batch job of a service that also serves starts a trace by right. Where its calls cannot be told "
        "from a "
        "request's, the finding is a note, and says possible.",
        headers.dropped,
    ),
    Rule(
        "headers-dropped-partly",
        "A service drops the tracing headers on some calls",
        "error",
        "As headers-dropped, where the same service has joined calls to the same host as well.",
        "It compares the requests that lost their headers with those that kept them: by endpoint (path), version "
        "(istio.canonical_revision) and pod, and whether the calls begin after the answer is out. The first that "
        "separates the "
        "two is named.",
        "Look at the code of that endpoint, version, or background task: it makes its call without the request's "
        "headers.",
        "Calls after the answer that are joined: a trace may go on longer than its request.",
        headers.partly,
    ),
    Rule(
        "format-mismatch",
        "A service speaks another header format than the proxies",
        "error",
        "The same CLIENT roots, where they bear the x-request-id of a request that the service received; and SERVER "
        "spans of an "
        "SDK that are roots inside a sidecar's SERVER span.",
        "A service that copies x-request-id and yet breaks the trace forwards headers, but none that the proxies "
        "read: B3 "
        "alone where their tracer is OpenTelemetry's (W3C), or W3C alone where it is Zipkin's (B3), or its list is "
        "incomplete. An SDK that starts traces of its own does not read what the sidecar hands it.",
        "Forward both formats; set OTEL_PROPAGATORS=b3multi,tracecontext,baggage; or give the mesh a provider that "
        "speaks the "
        "service's format.",
        "A service that drops x-request-id as well: nothing tells its format then, it is headers-dropped.",
        headers.mismatch,
    ),
    Rule(
        "phantom-parent",
        "An application makes spans that are never exported",
        "error",
        "Spans whose parent is not in the trace, where the trace has earlier spans.",
        "A sidecar's CLIENT span whose parent is missing although the SERVER span of the same service is there: only "
        "the "
        "application stands between the two, so the missing span is its own. A SERVER span whose parent is missing is "
        "laid to "
        "the service that was at work when it began.",
        "Let that service export (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT), or switch its SDK off and copy "
        "the "
        "headers.",
        "A trace that begins with such a span: its parent is with a client outside the mesh. Young, evicted and rare "
        "gaps: "
        "see trace-cut.",
        parents.phantom,
    ),
    Rule(
        "sampling-lost",
        "The sampling decision is not handed on",
        "warning",
        "x-request-id of a service's SERVER span and of its calls, calls that are missing, SERVER spans that are "
        "missing below "
        "calls that were answered.",
        "x-request-id changes on the joined calls of a service, and some of its requests to the same endpoint have no "
        "call at "
        "all: Envoy reads the decision from that header and made it anew. Or a service reports some of the calls that "
        "reach it and "
        "not others, of the same version.",
        "Copy x-request-id too; take away a Telemetry that samples at a single workload.",
        "Calls that a proxy answered by itself (faults, no route, retries used up), health checks.",
        decisions.sampling_lost,
    ),
    Rule(
        "gateway-missing",
        "The gateway makes no span",
        "warning",
        "The first SERVER span of traces, and the host that was asked for.",
        "The trace begins at a sidecar, and the host is one by which the gateway is asked in other traces, or no name "
        "that "
        "services of the mesh have.",
        "Name the tracing provider in a Telemetry of the gateway's namespace or of istio-system, then restart the "
        "gateway.",
        "Clients inside the cluster that have no sidecar and ask a service by its name; Envoys without Istio's node "
        "ids, where "
        "gateway and sidecar look the same.",
        edges.gateway_missing,
    ),
    Rule(
        "health-checks-traced",
        "Health checks are traced",
        "warning",
        "Path and user agent of the request with which a trace begins.",
        "/healthz, /readyz, /livez, /health, /-/healthy, /-/ready, /actuator/health, the gRPC health service; user "
        "agents "
        "kube-probe, GoogleHC, ELB-HealthChecker.",
        "An EnvoyFilter that sets tracing to 0 for the route ([istio](istio.md)).",
        "A health check that one service makes of another while it works on a request.",
        sight.health_checks,
    ),
    Rule(
        "outside-mesh",
        "A hop that no proxy sees",
        "warning",
        "Calls that were answered, and who reported the other end; a sidecar's CLIENT span below another service's "
        "SERVER span; "
        "HTTP calls of an SDK without a sidecar's span below.",
        "A service of the cluster from which no SERVER span ever comes has no sidecar, or one that does not report. "
        "Headers "
        "that arrive without any span of the way went over a port that is TCP to the mesh. Of a TCP call to a service "
        "that "
        "makes no calls itself, and whose caller has no SDK, there is no trace at all: `meshtrail preflight` and "
        "`meshtrail "
        "lint` see its port.",
        "Name the port http-..., or set appProtocol; label the namespace for injection and restart the pods.",
        "Hosts outside the cluster; databases; calls that the proxy answered by itself. A service whose own SDK "
        "reports, and "
        "hosts that the mesh does not know (PassthroughCluster), are notes.",
        edges.outside_mesh,
    ),
    Rule(
        "instrumented-twice",
        "Every request is noted twice",
        "warning",
        "SERVER spans of an SDK directly below one of the same service, and CLIENT spans alike.",
        "Same process, same method and address (or SQL), and the inner one takes at least half of the time; half of "
        "the service's "
        "spans are so.",
        "Keep one instrumentation: a framework's own or a library's, an agent or code.",
        "The sidecar's span around the application's: they are two, and are meant to be.",
        sight.instrumented_twice,
    ),
    Rule(
        "clock-skew",
        "Two clocks disagree",
        "warning",
        "CLIENT spans and the SERVER spans below them, by pair of pods.",
        "The median SERVER span begins more than 2 ms before its CLIENT span, or ends more than 2 ms after it though "
        "both ended "
        "as they should. At least three pairs, or 20 ms.",
        "Synchronise the clocks of the nodes.",
        "Calls that timed out or were hung up, where the called service goes on; spans of one pod.",
        sight.clock_skew,
    ),
    Rule(
        "name-collision",
        "Two services share a name",
        "warning",
        "What each service name comes with: language of the SDK, namespace, Istio's canonical service, pods.",
        "One name at the same time from two languages, two namespaces or two workloads; or one that calls itself in "
        "another pod "
        "under another host name.",
        "Give each its own OTEL_SERVICE_NAME or app label; let the service name hold the namespace.",
        "Versions of one service; a sidecar and the SDK behind it; one release after another.",
        sight.name_collision,
    ),
    Rule(
        "trace-cut",
        "Traces that are cut, without a fault",
        "note",
        "Spans whose parent is missing, and the age of their traces.",
        "Traces that ended a moment ago: spans are on their way. The oldest tenth alone: the store threw their "
        "beginning away. "
        "Fewer than one in twenty of a service's traces: a span got lost on the way.",
        "Nothing. Look again, or look at a shorter time.",
        "It never counts as a fault.",
        parents.cut,
    ),
    Rule(
        "request-id-changed",
        "x-request-id changes within a trace",
        "warning",
        "x-request-id of a service's SERVER span and of its calls in the same trace, and of the two ends of a call.",
        "The ids differ. Between two spans of one service the application did it, between the ends of a call the "
        "configuration.",
        "Copy x-request-id; look for it in headers.request of VirtualServices.",
        "The client's own id, which the gateway replaces. Where calls go missing as well, it is sampling-lost.",
        decisions.request_id_changed,
    ),
)
