"""What docker-compose.yml mounts: each proxy's Envoy configuration and each service's environment, from the manifests
that a cluster gets.
"""

from meshtrail.compose.files import stale, write
from meshtrail.compose.render import FOLDER, MESHES, render

__all__ = ["FOLDER", "MESHES", "render", "stale", "write"]
