"""`kubectl port-forward`: started, started again when it breaks, and gone with the command that needed it.

Each forward has a thread of its own, which reads what kubectl says and keeps the local port across restarts. kubectl
runs in a process group of its own, so that Ctrl-C reaches meshtrail alone; should meshtrail be killed, the guard, a
small shell, kills what is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time

from meshtrail.cluster.kubectl import ClusterError, Kubectl, explained
from meshtrail.local.guard import ShellGuard

READY_WITHIN_S = 20.0
END_WITHIN_S = 3.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 2.0
BROKEN = "an error occurred forwarding"


class Forward:
    """A port of this machine that leads to `target` (`svc/name`, `pod/name`) in the cluster."""

    def __init__(self, kubectl: Kubectl, namespace: str, target: str, remote_port: int, guard: ShellGuard) -> None:
        self.command = kubectl.command("--namespace", namespace, "port-forward", "--address", "127.0.0.1", target)
        self.what = f"{namespace}/{target.partition('/')[2]}"
        self.port = 0
        self.restarts = 0
        self._context = kubectl.context
        self._remote_port = remote_port
        self._guard = guard
        self._said: list[str] = []
        self._ready = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"port-forward {target}", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def wait(self, within: float = READY_WITHIN_S) -> Forward:
        """Until the local port is open. Raises ClusterError with what kubectl said when it does not open."""
        opened = self._ready.wait(within)
        if self.port:
            return self
        self.close()
        if opened:
            raise explained("\n".join(self._said), self._context, ["port-forward", self.what])
        raise ClusterError(
            f"kubectl port-forward to {self.what} did not open within {within:g} s",
            mend=f"try `kubectl --context {self._context} get pods -A`: does a pod run behind it?",
        )

    def close(self) -> None:
        """End kubectl and wait until it is gone."""
        with self._lock:
            self._closing.set()
            process = self._process
        if process is not None:
            self._end(process)
        self._thread.join(END_WITHIN_S)

    def _run(self) -> None:
        backoff = BACKOFF_FIRST_S
        while not self._closing.is_set():
            began = time.monotonic()
            process = self._start()
            if process is None:
                return
            self._read(process)
            process.wait()
            self._guard.ended(process.pid)
            if not self.port:
                self._ready.set()
                return
            backoff = BACKOFF_FIRST_S if time.monotonic() - began > BACKOFF_MAX_S else min(backoff * 2, BACKOFF_MAX_S)
            self.restarts += 1
            self._closing.wait(backoff)

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._closing.is_set():
                return None
            try:
                self._process = subprocess.Popen(
                    [*self.command, f"{self.port or ''}:{self._remote_port}"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    process_group=0,
                )
            except OSError as error:
                self._said = [str(error)]
                self._ready.set()
                return None
            self._guard.started(self._process.pid)
            return self._process

    def _read(self, process: subprocess.Popen[str]) -> None:
        """What kubectl says until it ends; it must be read, or kubectl stops when the pipe is full."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                opened = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> ", line)
                if opened:
                    self.port = int(opened[1])
                    self._ready.set()
                elif not line.startswith("Handling connection"):
                    self._said = [*self._said[-9:], line.rstrip()]
                    if BROKEN in line:
                        # Most kubectl end by themselves then; one that stays would go on asking a pod that is gone.
                        _signal_group(process.pid, signal.SIGTERM)

    def _end(self, process: subprocess.Popen[str]) -> None:
        _signal_group(process.pid, signal.SIGTERM)
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()


def _signal_group(pid: int, number: int) -> None:
    """A login plugin that kubectl started ends with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


class Forwards:
    """The port-forwards of one command; `close` ends them all."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._guard: ShellGuard | None = None
        self._open: list[Forward] = []

    def start(self, namespace: str, target: str, port: int) -> Forward:
        """Begin a forward; `wait` on it before use."""
        if self._guard is None:
            self._guard = ShellGuard()
        forward = Forward(self._kubectl, namespace, target, port, self._guard)
        self._open.append(forward)
        return forward

    def close(self) -> None:
        for forward in self._open:
            forward.close()
        self._open.clear()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
