"""The trace store: takes OTLP and Zipkin spans in, answers Jaeger's HTTP API, for one machine.

It runs as a process of its own (`python -m meshtrail.store`), which imports nothing of the command line or the mesh.
`docs/trace-store.md` has ports, limits and what is refused.
"""
