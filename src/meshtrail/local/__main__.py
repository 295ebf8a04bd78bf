"""`python -m meshtrail.local`: the supervisor of a detached mesh; started by `meshtrail up --detach` only."""

import sys

from meshtrail.local.session import run_detached

sys.exit(run_detached())
