"""The manifest lint: what in Kubernetes and Istio manifests will break tracing, before it is deployed.

Lenient where the local mesh is strict: manifests of any project are read, and what no rule knows is passed over.
`sources` reads, `bundle` looks things up, `rules/` holds one function a rule, `run` puts the report together,
`formats/` writes it.
"""
