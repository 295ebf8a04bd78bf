"""End-to-end tracing in a service mesh, as something you can run, break and repair."""

__version__ = "0.1.0"
