"""What `istioctl analyze` says of the manifests that each rule reports, for docs/lint.md.

Recorded with the objects on a cluster, where it sees most; tests/cluster/test_lint.py runs it again. Of what it says
only what concerns the fault counts, not that an example has no certificate or no Gateway.
"""

from __future__ import annotations

VERSION = "1.29"
SAYS: dict[str, tuple[str, ...]] = {
    "gateway-selector": ("IST0101",),
    "injection-misplaced": ("IST0102",),
    "injection-missing": ("IST0102",),
    "port-protocol": ("IST0118",),
    "route-host": ("IST0101",),
    "route-subset": ("IST0101",),
    "several-providers": ("IST0133",),
    "telemetry-competes": ("IST0160",),
    "telemetry-selects-nothing": ("IST0101",),
}
"""By rule the codes of its messages. A rule that is not here: it says nothing."""

MEANING = {
    "IST0101": "a reference that leads nowhere",
    "IST0102": "info: the namespace is not labelled",
    "IST0118": "info: the name of the port",
    "IST0133": "warning of the schema",
    "IST0160": "several without a selector",
}
