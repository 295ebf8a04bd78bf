"""Nothing outlives meshtrail, not even when it is killed with SIGKILL.

On Linux the kernel does it: a child asks to be killed when its parent ends (PR_SET_PDEATHSIG). Elsewhere a guard, a
small shell, reads a pipe from meshtrail: told of each process group that starts or ends, it kills those left when the
pipe closes. MESHTRAIL_GUARD=shell takes the guard on Linux too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1

# The guard knows no end but the end of the pipe. `bye` says that meshtrail ended in order.
GUARD_SCRIPT = """
trap '' INT TERM HUP QUIT TSTP
groups=
while read -r word group; do
  case $word in
    started) groups="$groups $group" ;;
    ended) left=; for g in $groups; do [ "$g" = "$group" ] || left="$left $g"; done; groups=$left ;;
    bye) exit 0 ;;
  esac
done
for g in $groups; do kill -s KILL -- "-$g" 2>/dev/null; done
exit 0
"""


def wants_shell_guard() -> bool:
    return sys.platform != "linux" or os.environ.get("MESHTRAIL_GUARD") == "shell"


def parent_death_signal() -> Callable[[], None] | None:
    """What a child runs between fork and exec so that it dies with its parent; None where only the guard can help.

    The kernel sends the signal when the THREAD that forked ends: start processes from the main thread. Everything that
    may take a lock (imports, loading libc) happens here, before the fork.
    """
    if wants_shell_guard():
        return None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask_to_die() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the call above: no signal will come
            os._exit(1)

    return ask_to_die


class ShellGuard:
    """The guard process. Losing it (someone killed it) only loses the guarding."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", GUARD_SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={"PATH": os.defpath},
            cwd="/",
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def started(self, group: int) -> None:
        self._say(f"started {group}")

    def ended(self, group: int) -> None:
        self._say(f"ended {group}")

    def close(self) -> None:
        self._say("bye")
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
