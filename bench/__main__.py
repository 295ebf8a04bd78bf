"""`python -m bench [NAME...]`: run the named benchmarks, or all that need no cluster, one after the other."""

from __future__ import annotations

import subprocess
import sys

# name -> module; the order is the order of the tables.
BENCHMARKS = {
    "start": "bench.mesh_start",
    "hop": "bench.hop_cost",
    "capacity": "bench.capacity",
    "implementations": "bench.implementations",
    "bookinfo": "bench.bookinfo",
    "ingest": "bench.store_ingest",
    "query": "bench.store_query",
    "doctor": "bench.doctor",
}
# On the cluster that kubectl points at; only when named.
CLUSTER = {
    "cluster-cost": "bench.cluster_cost",
    "cluster-start": "bench.cluster_start",
}


def main(names: list[str]) -> int:
    known = BENCHMARKS | CLUSTER
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"error: no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or list(BENCHMARKS):
        # A process of its own: one benchmark's memory and threads do not colour the next.
        failed |= subprocess.run([sys.executable, "-m", known[name]], check=False).returncode
        print(flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
