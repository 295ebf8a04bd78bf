"""`python -m bench [NAME...]`: run the named benchmarks, or all of them, one after the other."""

from __future__ import annotations

import subprocess
import sys

# name -> module; the order is the order of the tables.
BENCHMARKS = {
    "start": "bench.mesh_start",
    "hop": "bench.hop_cost",
    "capacity": "bench.capacity",
    "ingest": "bench.store_ingest",
    "query": "bench.store_query",
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"error: no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or list(BENCHMARKS):
        # A process of its own: one benchmark's memory and threads do not colour the next.
        failed |= subprocess.run([sys.executable, "-m", BENCHMARKS[name]], check=False).returncode
        print(flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
