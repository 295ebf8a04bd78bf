"""The user's kubectl: called with an explicit context, read as JSON, its complaints turned into errors with a mend.

kubectl, not a client library: it knows the user's kubeconfig, login plugins and proxies, and a person can repeat what
was asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from meshtrail.cluster.objects import Object
from meshtrail.errors import MeshtrailError

REQUEST_TIMEOUT_S = 5
WITHIN_S = 20.0
"""For a whole call: kubectl tries several times, and a login plugin may ask a server of its own."""


class ClusterError(MeshtrailError):
    """The cluster could not be asked, or does not have what a command needs."""


class UnreachableError(ClusterError):
    """No answer from the API server."""


class ForbiddenError(ClusterError):
    """The user may not do that."""


class NotFoundError(ClusterError):
    """The object is not there."""


class UnknownKindError(ClusterError):
    """The cluster does not know the kind: its definition (CRD) is not installed."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """`program` is the path of kubectl, `context` the name that every call carries."""

    program: str
    context: str

    @property
    def call(self) -> str:
        """What a person types, for messages."""
        return f"kubectl --context {self.context}"

    def command(self, *arguments: str) -> list[str]:
        return [self.program, "--context", self.context, *arguments]

    def run(self, *arguments: str, within: float = WITHIN_S) -> str:
        """Standard output of one call. Raises ClusterError."""
        done = self._run(arguments, within)
        if done.returncode:
            raise explained(done.stderr, self.context, arguments)
        return done.stdout

    def objects(
        self,
        kinds: Sequence[str],
        *,
        namespace: str | None = None,
        everywhere: bool = False,
        selector: str = "",
    ) -> tuple[tuple[Object, ...], tuple[str, ...]]:
        """All objects of the kinds, and which of them the user may not list. Raises ClusterError for other failures."""
        place = ["--all-namespaces"] if everywhere else ["--namespace", namespace] if namespace else []
        select = ["--selector", selector] if selector else []
        arguments = ["get", ",".join(kinds), *place, *select, "-o", "json", f"--request-timeout={REQUEST_TIMEOUT_S}s"]
        done = self._run(arguments, WITHIN_S)
        forbidden: list[str] = []
        for line in done.stderr.splitlines():
            denied = re.search(r"\(Forbidden\): (\S+) is forbidden", line)
            if denied:
                forbidden.append(denied[1])
        if done.returncode and not forbidden:
            raise explained(done.stderr, self.context, arguments)
        # kubectl prints what it may list, if there is any, beside its complaint.
        return tuple(json.loads(done.stdout)["items"]) if done.stdout.strip() else (), tuple(forbidden)

    def _run(self, arguments: Sequence[str], within: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self.command(*arguments),
                # A kubectl without credentials asks for a user name.
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=within,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UnreachableError(
                f"kubectl {' '.join(arguments[:2])} took more than {within:g} s (context {self.context})",
                mend=f"try `{self.call} version`; is the cluster up, and a VPN or login needed?",
            ) from None
        except OSError as error:
            raise ClusterError(f"{self.program} does not run: {error.strerror}", mend="reinstall kubectl") from None


def connect(context: str | None = None) -> Kubectl:
    """The kubectl on the PATH with that context, or with the current one. Raises ClusterError; asks no cluster yet."""
    program = shutil.which("kubectl")
    if program is None:
        raise ClusterError("no kubectl on the PATH", mend="install it: https://kubernetes.io/docs/tasks/tools/")
    names = _config(program, "get-contexts", "-o", "name").splitlines()
    chosen = context or _config(program, "current-context").strip()
    among = f"there are: {', '.join(names)}" if names else "kubectl knows none: is KUBECONFIG set right?"
    if not chosen:
        raise ClusterError("kubectl has no current context", mend=f"name one with --context NAME; {among}")
    if chosen not in names:
        raise ClusterError(f"kubectl has no context '{chosen}'", mend=f"name another one with --context; {among}")
    return Kubectl(program, chosen)


def _config(program: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [program, "config", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"{program} does not run: {error}", mend="reinstall kubectl") from None
    if done.returncode and "current-context is not set" not in done.stderr:
        raise ClusterError(
            f"kubectl cannot read its configuration: {_last_line(done.stderr)}",
            mend=f"see `kubectl config view`; KUBECONFIG is {os.environ.get('KUBECONFIG') or 'not set'}",
        )
    return done.stdout


UNREACHABLE = (
    "Unable to connect to the server",
    "was refused - did you specify the right host or port",
    "i/o timeout",
    "connection refused",
    "no such host",
    "no route to host",
    "TLS handshake timeout",
    "Client.Timeout exceeded",
    "context deadline exceeded",
)


def explained(stderr: str, context: str, arguments: Sequence[str]) -> ClusterError:
    """What kubectl wrote to standard error, as an error with a mend."""
    last = _last_line(stderr)
    call = f"kubectl --context {context}"
    if "the server doesn't have a resource type" in stderr:
        kind = re.search(r'resource type "([^"]+)"', stderr)
        return UnknownKindError(f"the cluster knows no {kind[1] if kind else arguments[1]}")
    if "(Forbidden)" in stderr or "forbidden:" in last:
        return ForbiddenError(
            f"kubectl may not do that: {last}",
            mend=f"ask for the right, and see `{call} auth can-i --list`",
        )
    if "(NotFound)" in stderr:
        return NotFoundError(last.removeprefix("Error from server (NotFound): "))
    # Without credentials kubectl asks for a user name, and finds no terminal.
    if "Unauthorized" in stderr or "You must be logged in" in stderr or last == "error: EOF":
        return ClusterError(
            f"the cluster of context '{context}' does not know you: {last}",
            mend=f"log in to it, until `{call} version` answers",
        )
    if any(words in stderr for words in UNREACHABLE):
        return UnreachableError(
            f"the cluster of context '{context}' does not answer: {last}",
            mend=f"start it, or name another one with --context; `{call} version` must answer",
        )
    return ClusterError(f"kubectl {arguments[0]} failed: {last}", mend=f"see `{call} {' '.join(arguments[:2])}`")


def _last_line(text: str) -> str:
    """The last complaint, without the log lines of kubectl's discovery before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    spoken = [line for line in lines if not re.match(r"[EWI]\d{4} ", line)]
    return (spoken or lines or ["no reason given"])[-1][:300]
