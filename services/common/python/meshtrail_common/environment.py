"""Holds OTEL_PROPAGATORS back from the import of OpenTelemetry's API. Imported before FastAPI.

FastAPI, in the plain form too, imports opentelemetry.propagate, which loads what OTEL_PROPAGATORS names at import and
fails with a traceback for a name that is unknown or not installed. telemetry.py reads the variable itself, and says
what is wrong in one line.
"""

from __future__ import annotations

import os

PROPAGATORS = os.environ.pop("OTEL_PROPAGATORS", "")
