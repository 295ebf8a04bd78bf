"""What has to be done before libraries are imported; each service package does it first.

FastAPI, in the plain form too, imports opentelemetry.propagate, which loads what OTEL_PROPAGATORS names at import and
fails with a traceback for a name that is unknown or not installed. So the variable is held back here; telemetry.py
reads it and says in one line what is wrong.

httpx imports its command line, and rich with it, wherever that is installed: 6 MB and a quarter of the start, for
nothing. It copes with the module being absent.
"""

from __future__ import annotations

import os
import sys

PROPAGATORS = os.environ.pop("OTEL_PROPAGATORS", "")

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
