"""The mesh as the manifests describe it: workloads, services, gateways, routes and tracing, resolved and checked."""
