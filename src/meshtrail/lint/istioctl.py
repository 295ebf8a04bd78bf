"""What `istioctl analyze` says of the manifests that each rule reports, for docs/lint.md.

Recorded with the objects on a cluster, where it sees most; tests/cluster/test_lint.py runs it again. Of what it says
only what concerns the fault counts, not that an example has no certificate or no Gateway.
"""

from __future__ import annotations

VERSION = "1.29"
SAYS: dict[str, tuple[str, ...]] = {}
"""By rule: codes with a word of what they mean. A rule that is not here: it says nothing."""
