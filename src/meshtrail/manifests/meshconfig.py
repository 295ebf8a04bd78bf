"""The mesh configuration: from an IstioOperator, from the ConfigMap `istio`, or from its text."""

from __future__ import annotations

import dataclasses

from meshtrail.errors import ManifestError, Problem, Warnings
from meshtrail.manifests import kinds
from meshtrail.manifests.document import Mark, parse
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.reader import Fields, Scope, Value, message

ISTIO_OPERATOR = message("IstioOperator", f"{OBJECT} spec", inert="status")
OPERATOR_SPEC = message(
    "IstioOperator.spec",
    "profile meshConfig values",
    inert="hub tag revision components installPackagePath compatibilityVersion",
)
VALUES = message(
    "IstioOperator.spec.values",
    "pilot",
    inert="base cni defaultRevision gateways global istio_cni meshConfig ownerName platform profile revision "
    "revisionTags sidecarInjectorWebhook telemetry ztunnel experimental",
)
PILOT = message(
    "IstioOperator.spec.values.pilot",
    "traceSampling",
    inert="affinity autoscaleBehavior autoscaleEnabled autoscaleMax autoscaleMin cni configMap cpu deploymentLabels "
    "enabled env envVarFrom extraContainerArgs hub image initContainers ipFamilies ipFamilyPolicy "
    "jwksResolverExtraRootCA keepaliveMaxServerConnectionAge memory nodeSelector podAnnotations podLabels replicaCount "
    "resources rollingMaxSurge rollingMaxUnavailable seccompProfile serviceAccountAnnotations serviceAnnotations "
    "tag taint tolerations topologySpreadConstraints trustedZtunnelNamespace trustedZtunnelName variant "
    "volumeMounts volumes crlConfigMapName gatewayClasses",
)
MESH_CONFIG = message(
    "meshConfig",
    "enableTracing extensionProviders defaultProviders defaultConfig rootNamespace trustDomain accessLogFile "
    "outboundTrafficPolicy",
    inert="accessLogEncoding accessLogFormat ca caCertificates certificates configSources connectTimeout "
    "defaultDestinationRuleExportTo defaultServiceExportTo defaultVirtualServiceExportTo disableEnvoyListenerLog "
    "discoverySelectors dnsRefreshRate enableAutoMtls enableEnvoyAccessLogService enablePrometheusMerge "
    "hboneIdleTimeout serviceScopeConfigs ingressClass ingressControllerMode ingressSelector "
    "ingressService localityLbSetting meshMTLS protocolDetectionTimeout proxyHttpPort proxyListenPort "
    "proxyInboundListenPort serviceSettings tcpKeepalive tlsDefaults trustDomainAliases verifyCertificateAtClient",
    refused={
        "defaultHttpRetryPolicy": "give retries in the VirtualService",
        "pathNormalization": "the local mesh normalizes as Istio does by default (BASE)",
        "h2UpgradePolicy": "",
        "outboundClusterStatName": "",
        "inboundClusterStatName": "",
        "inboundTrafficPolicy": "",
    },
)
DEFAULT_PROVIDERS = message("meshConfig.defaultProviders", "tracing", inert="metrics accessLogging")
# What the proxies of a cluster need to find istiod, log and start; only the tracing part says something here.
DEFAULT_CONFIG = message(
    "meshConfig.defaultConfig",
    "tracing",
    inert="availabilityZone binaryPath caCertificatesPem concurrency configPath controlPlaneAuthPolicy "
    "customConfigFile discoveryAddress discoveryRefreshDelay drainDuration envoyAccessLogService "
    "envoyMetricsService envoyMetricsServiceAddress extraStatTags fileFlushInterval fileFlushMinSizeKb "
    "gatewayTopology holdApplicationUntilProxyStarts image interceptionMode meshId "
    "privateKeyProvider proxyAdminPort proxyBootstrapTemplatePath proxyHeaders proxyMetadata proxyStatsMatcher "
    "readinessProbe runtimeValues sds serviceCluster statNameLength statsCompression tracingServiceName "
    "statsdUdpAddress statusPort terminationDrainDuration zipkinAddress",
)
PROXY_TRACING = message(
    "meshConfig.defaultConfig.tracing",
    "sampling",
    inert="",
    refused={
        "customTags": "give customTags in a Telemetry",
        "zipkin": "name the collector in extensionProviders",
        "maxPathTagLength": "give maxTagLength in extensionProviders",
        "enableIstioTags": "give enableIstioTags in a Telemetry",
        "tlsSettings": "",
        "lightstep": "",
        "datadog": "",
        "stackdriver": "",
        "openCensusAgent": "",
    },
)
OUTBOUND_POLICY = message("meshConfig.outboundTrafficPolicy", "mode")
OTHER_PROVIDERS = (
    "envoyOtelAls skywalking envoyHttpAls envoyTcpAls envoyFileAccessLog prometheus stackdriver datadog lightstep "
    "opencensus envoyExtAuthzHttp envoyExtAuthzGrpc sds"
)
PROVIDER = message("meshConfig.extensionProviders[]", "name opentelemetry zipkin", inert=OTHER_PROVIDERS)
OPENTELEMETRY = message(
    "meshConfig.extensionProviders[].opentelemetry",
    "service port http maxTagLength",
    refused={
        "resourceDetectors": "",
        "dynatraceSampler": "give randomSamplingPercentage in a Telemetry",
        "grpc": "",
    },
)
OTLP_HTTP = message("meshConfig.extensionProviders[].opentelemetry.http", "path", refused="timeout headers")
ZIPKIN = message(
    "meshConfig.extensionProviders[].zipkin",
    "service port maxTagLength traceContextOption",
    refused={"enable64bitTraceId": "trace ids have 128 bits here", "path": "", "timeout": "", "headers": ""},
)

_TRACE_CONTEXT = ("USE_B3", "USE_B3_WITH_W3C_PROPAGATION")


def _demo_profile(config: kinds.MeshConfig, meta: kinds.Meta, providers: bool) -> kinds.MeshConfig:
    """What Istio's demo profile (1.29) sets where the file says nothing: everything sampled, a provider `jaeger`."""
    changed = dataclasses.replace(config, access_log_file=config.access_log_file or "/dev/stdout")
    if not providers:
        changed = dataclasses.replace(
            changed,
            providers=(
                kinds.TracingProvider(
                    "otel-tracing", "opentelemetry", "opentelemetry-collector.observability.svc.cluster.local", 4317
                ),
                kinds.TracingProvider(
                    "jaeger", "opentelemetry", "jaeger-collector.istio-system.svc.cluster.local", 4317
                ),
            ),
            other_providers=("otel", "skywalking"),
        )
    return changed


def mesh_meta(file: str, line: int) -> kinds.Meta:
    """The mesh configuration is one object, however it was written: a later one replaces an earlier one."""
    return kinds.Meta("MeshConfig", "istio", "istio-system", file=file, line=line)


def istio_operator(top: Fields, meta: kinds.Meta) -> kinds.MeshConfig:
    own = dataclasses.replace(mesh_meta(meta.file, meta.line), raw=meta.raw)
    spec = top.fields("spec", OPERATOR_SPEC)
    if spec is None:
        return kinds.MeshConfig(own)
    demo = spec.text("profile") == "demo"
    values = spec.fields("values", VALUES)
    pilot = values.fields("pilot", PILOT) if values else None
    sampling = pilot.get("traceSampling") if pilot else None
    default = 100.0 if demo else 1.0
    found = spec.get("meshConfig")
    config = mesh_config(found, own) if found else kinds.MeshConfig(own)
    if not (found and _says_sampling(found)):
        default = sampling.number(0.0, 100.0, default=default) if sampling else default
        config = dataclasses.replace(config, default_sampling=default)
    if demo:
        given = found is not None and isinstance(found.raw, dict) and found.raw.get("extensionProviders") is not None
        config = _demo_profile(config, own, given)
    return config


def _says_sampling(value: Value) -> bool:
    raw = value.raw
    for name in ("defaultConfig", "tracing", "sampling"):
        raw = raw.get(name) if isinstance(raw, dict) else None
    return raw is not None


def config_map_istio(top: Fields, meta: kinds.Meta) -> kinds.MeshConfig:
    """ConfigMap `istio` in istio-system: the key `mesh` holds the mesh configuration as text."""
    own = dataclasses.replace(mesh_meta(meta.file, meta.line), raw=meta.raw)
    data = top.get("data")
    text = dict(data.entries()).get("mesh") if data else None
    if text is None or not isinstance(text.raw, str):
        top.error("needs the key mesh", "data")
        return kinds.MeshConfig(own)
    return _from_text(text.raw, text.mark, top.value.scope, own)


def read_mesh_config(text: str, file: str) -> kinds.MeshConfig:
    """The mesh configuration from its own text, as in the key `mesh` of ConfigMap `istio`. Raises ManifestError."""
    problems: list[Problem] = []
    own = mesh_meta(file, 1)
    config = _from_text(text, Mark(file, 1), Scope(own.ref, problems, Warnings()), own)
    if problems:
        raise ManifestError(problems)
    return config


def _from_text(text: str, mark: Mark, scope: Scope, own: kinds.Meta) -> kinds.MeshConfig:
    try:
        documents = parse(text, mark.file)
    except ManifestError as error:
        scope.problems.extend(error.problems)
        return kinds.MeshConfig(own)
    if len(documents) != 1:
        scope.error("the mesh configuration is one YAML document", mark)
        return kinds.MeshConfig(own)
    return mesh_config(Value(scope, documents[0], "", mark), own)


def mesh_config(value: Value, meta: kinds.Meta) -> kinds.MeshConfig:
    fields = value.fields(MESH_CONFIG)
    providers: list[kinds.TracingProvider] = []
    others: list[str] = []
    for item in fields.all_fields("extensionProviders", PROVIDER):
        provider(item, providers, others)
    names = [one.name for one in providers] + others
    for name in sorted({name for name in names if names.count(name) > 1}):
        fields.error(f"the provider {name!r} is given twice", "extensionProviders")
    defaults = fields.fields("defaultProviders", DEFAULT_PROVIDERS)
    proxy = fields.fields("defaultConfig", DEFAULT_CONFIG)
    proxy_tracing = proxy.fields("tracing", PROXY_TRACING) if proxy else None
    sampling = proxy_tracing.get("sampling") if proxy_tracing else None
    policy = fields.fields("outboundTrafficPolicy", OUTBOUND_POLICY)
    if policy and policy.text("mode", choices=("ALLOW_ANY", "REGISTRY_ONLY")) == "REGISTRY_ONLY":
        policy.not_carried_out("mode", "use ALLOW_ANY", "outboundTrafficPolicy REGISTRY_ONLY")
    return kinds.MeshConfig(
        meta=meta,
        providers=tuple(providers),
        other_providers=tuple(others),
        default_tracing_providers=defaults.strings("tracing") if defaults else (),
        enable_tracing=fields.boolean("enableTracing", default=True),
        default_sampling=sampling.number(0.0, 100.0) if sampling else 1.0,
        root_namespace=fields.text("rootNamespace", "istio-system"),
        trust_domain=fields.text("trustDomain", "cluster.local"),
        access_log_file=fields.text("accessLogFile"),
    )


def provider(fields: Fields, providers: list[kinds.TracingProvider], others: list[str]) -> None:
    name = fields.text("name", required=True)
    fields.exactly_one("opentelemetry", "zipkin", *OTHER_PROVIDERS.split())
    otel = fields.fields("opentelemetry", OPENTELEMETRY)
    zipkin = fields.fields("zipkin", ZIPKIN)
    found = otel or zipkin
    if found is None:
        others.append(name)
        return
    http = otel.fields("http", OTLP_HTTP) if otel else None
    providers.append(
        kinds.TracingProvider(
            name=name,
            type="opentelemetry" if otel else "zipkin",
            service=found.text("service", required=True),
            port=found.integer("port", 1, 65535, required=True),
            http_path=http.text("path", required=True) if http else "",
            trace_context=zipkin.text("traceContextOption", "USE_B3", choices=_TRACE_CONTEXT) if zipkin else "USE_B3",
            max_tag_length=found.maybe_integer("maxTagLength", 1),
        )
    )


def is_mesh_config_map(kind: str, namespace: str, name: str) -> bool:
    return (kind, namespace, name) == ("ConfigMap", "istio-system", "istio")
