"""What the compose files mount, made from the manifests that a cluster gets: each proxy's Envoy configuration and each
service's environment.
"""

from meshtrail.compose.files import stale, write
from meshtrail.compose.render import FOLDER, MESHES, render

__all__ = ["FOLDER", "MESHES", "render", "stale", "write"]
