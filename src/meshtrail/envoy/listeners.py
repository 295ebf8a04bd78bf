"""Listeners and connection managers of a proxy, with istiod's settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from meshtrail.envoy import authorization
from meshtrail.envoy.bootstrap import watched
from meshtrail.envoy.clusters import cluster_name, inbound_name, socket_address
from meshtrail.envoy.places import Endpoint
from meshtrail.envoy.proxy import TYPE, Config, route_file
from meshtrail.envoy.tracers import request_id_extension, tracing
from meshtrail.mesh import GatewayListener, GatewayProxy, InboundPort, Mesh, MeshPort, MeshService, Workload

MANAGER = "envoy.filters.network.http_connection_manager"
ACCESS_LOG = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
"""Istio's default access log line."""


def inbound(mesh: Mesh, workload: Workload, port: InboundPort, endpoint: Endpoint, routes: Config) -> Config:
    """The listener that receives for one container port."""
    stat_prefix = f"inbound_0.0.0.0_{port.port};"
    if port.protocol == "tcp":
        chain = _tcp(inbound_name(port.port))
    else:
        manager = _guarded(_manager(mesh, workload, "inbound", stat_prefix), mesh, workload, port.port)
        chain = _http({**manager, "route_config": routes, "server_name": "istio-envoy"})
    return _listener(f"inbound_0.0.0.0_{port.port}", endpoint, "INBOUND", chain)


def outbound(
    mesh: Mesh,
    workload: Workload,
    service: MeshService,
    port: MeshPort,
    endpoint: Endpoint,
    *,
    authority: str,
    routes: str,
    folder: Path,
) -> Config:
    """The listener for calls to one service's port; `authority` is the host that the application meant to send."""
    name = f"{service.fqdn}_{port.number}"
    if port.protocol == "tcp":
        return _listener(name, endpoint, "OUTBOUND", _tcp(cluster_name(service.fqdn, port.number)))
    manager = _manager(mesh, workload, "outbound", f"outbound_0.0.0.0_{port.number};")
    filters = [_restore_authority(authority), *manager.pop("http_filters")]
    chain = _http({**manager, "http_filters": filters, **_rds(routes, folder)})
    return _listener(name, endpoint, "OUTBOUND", chain)


def gateway(
    mesh: Mesh, proxy: GatewayProxy, listener: GatewayListener, endpoint: Endpoint, *, routes: str, folder: Path
) -> Config:
    """The listener of one gateway port."""
    name = f"0.0.0.0_{listener.target}"
    manager = _guarded(_manager(mesh, proxy, "outbound", f"outbound_{name};"), mesh, proxy, listener.target)
    chain = _http(
        {
            **manager,
            **_rds(routes, folder),
            "http_protocol_options": {},
            "server_name": "istio-envoy",
            "use_remote_address": True,
        }
    )
    return _listener(name, endpoint, "OUTBOUND", chain)


def _listener(name: str, endpoint: Endpoint, direction: str, filters: list[Config]) -> Config:
    return {
        "name": name,
        "address": socket_address(Endpoint(endpoint.listen_host, endpoint.port)),
        "filter_chains": [{"filters": filters, "transport_socket_connect_timeout": "15s"}],
        "traffic_direction": direction,
    }


def _http(manager: Config) -> list[Config]:
    message = f"{TYPE}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return [{"name": MANAGER, "typed_config": {"@type": message, **manager}}]


def _tcp(cluster: str) -> list[Config]:
    """TCP passes as it is: no request, so no span."""
    message = f"{TYPE}/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    config = {"@type": message, "stat_prefix": cluster, "cluster": cluster}
    return [{"name": "envoy.filters.network.tcp_proxy", "typed_config": config}]


def _rds(name: str, folder: Path) -> Config:
    return {"rds": {"config_source": watched(folder / "rds", route_file(name)), "route_config_name": name}}


def _manager(mesh: Mesh, proxy: Workload | GatewayProxy, direction: str, stat_prefix: str) -> Config:
    """What every connection manager of istiod has in common."""
    resolved = mesh.tracing_for(proxy, "inbound" if direction == "inbound" else "outbound")
    manager: Config = {
        "stat_prefix": stat_prefix,
        "http_filters": http_filters(),
        "stream_idle_timeout": "0s",
        "use_remote_address": False,
        "proxy_100_continue": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "request_id_extension": request_id_extension(resolved),
    }
    if resolved is not None:
        manager["tracing"] = tracing(
            resolved,
            mesh_id=mesh.config.trust_domain,
            namespace=proxy.namespace,
            app=proxy.app,
            revision=proxy.revision,
            service_name=proxy.service_name,
            spawn_upstream_span=isinstance(proxy, GatewayProxy),
        )
    if mesh.config.access_log_file:
        manager["access_log"] = [access_log(mesh.config.access_log_file)]
    return manager


def _guarded(manager: Config, mesh: Mesh, proxy: Workload | GatewayProxy, port: int) -> Config:
    """The manager with what AuthorizationPolicies say, before every other filter."""
    policies = authorization.filters(mesh.policies_for(proxy), port)
    return {**manager, "http_filters": [*policies, *manager["http_filters"]]}


def http_filters() -> list[Config]:
    """The filters that istiod's chains end in."""
    prefix = "envoy.extensions.filters.http"
    return [
        _filter("grpc_stats", f"{prefix}.grpc_stats.v3.FilterConfig", {"emit_filter_state": True}),
        _filter("fault", f"{prefix}.fault.v3.HTTPFault", {}),
        _filter("cors", f"{prefix}.cors.v3.Cors", {}),
        _filter("router", f"{prefix}.router.v3.Router", {}),
    ]


def _filter(name: str, message: str, config: Mapping[str, object]) -> Config:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{TYPE}/{message}", **config}}


def _restore_authority(authority: str) -> Config:
    """The application called this listener's address; from here on the request is for the name it meant.

    First in the chain, so that the name stands in the span even when a later filter answers.
    """
    # JSON's quoting is Lua's for every character that a host can have.
    code = f"function envoy_on_request(h) h:headers():replace(':authority',{json.dumps(authority)}) end"
    message = "envoy.extensions.filters.http.lua.v3.Lua"
    return _filter("lua", message, {"default_source_code": {"inline_string": code}})


def access_log(path: str) -> Config:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{TYPE}/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"text_format_source": {"inline_string": ACCESS_LOG}},
        },
    }
