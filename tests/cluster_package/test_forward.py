"""Port-forwards, with a kubectl that breaks on demand: tests/cluster shows them with the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.mesh import alive, eventually

from meshtrail.cluster.forward import Forward, Forwards
from meshtrail.cluster.kubectl import ClusterError, Kubectl, NotFoundError

# Takes the port that it is told, as kubectl does, says so, and answers nothing.
KUBECTL = """\
#!{python}
import os, socket, sys, time
words = sys.argv[1:]
if "svc/absent" in words:
    sys.exit('Error from server (NotFound): services "absent" not found')
if "svc/silent" in words:
    time.sleep(60)
taken = socket.create_server(("127.0.0.1", int(words[-1].split(":")[0] or 0)))
print(f"Forwarding from 127.0.0.1:{{taken.getsockname()[1]}} -> {{words[-1].split(':')[1]}}", flush=True)
if "svc/chatty" in words:
    for _ in range(20_000):
        print("Handling connection for 40000", flush=True)
    print(os.getpid(), file=open(words[1] + ".done", "w"))
if "svc/lost" in words:
    print("an error occurred forwarding 1 -> 2: lost", flush=True)
time.sleep(60)
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable))
    program.chmod(0o755)
    return Kubectl(str(program), str(tmp_path / "context"))


@pytest.fixture
def forwards(kubectl: Kubectl) -> Iterator[Forwards]:
    opened = Forwards(kubectl)
    yield opened
    opened.close()


def new_pid(forward: Forward, old: int) -> int:
    def look() -> int:
        return forward.pid if forward.pid not in (None, old) and forward.restarts else 0

    return eventually(look, what="kubectl runs again")


def test_it_ends_with_close(forwards: Forwards) -> None:
    first, second = forwards.start("n", "svc/a", 80).wait(), forwards.start("n", "pod/b", 8090).wait()
    pids = [first.pid, second.pid]
    assert first.port != second.port
    assert all(pid is not None and alive(pid) for pid in pids)
    forwards.close()
    assert not any(pid is not None and alive(pid) for pid in pids)


def test_one_that_breaks_comes_back_on_its_port(forwards: Forwards) -> None:
    forward = forwards.start("n", "svc/a", 80).wait()
    port, pid = forward.port, forward.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = new_pid(forward, pid)
    assert forward.port == port
    forwards.close()
    assert not alive(again)


def test_one_that_lost_its_pod_and_stays_is_started_again(forwards: Forwards) -> None:
    forward = forwards.start("n", "svc/lost", 80).wait()
    eventually(lambda: forward.restarts > 1, what="restarted")


def test_one_that_talks_is_read(forwards: Forwards, tmp_path: Path) -> None:
    """A pipe that nobody reads stops kubectl after some thousand connections."""
    forwards.start("n", "svc/chatty", 80).wait()
    eventually((tmp_path / "context.done").exists, what="everything was read")


def test_what_kubectl_says_is_the_error(forwards: Forwards) -> None:
    with pytest.raises(NotFoundError, match='services "absent" not found'):
        forwards.start("n", "svc/absent", 80).wait()


def test_one_that_does_not_open_is_given_up(forwards: Forwards) -> None:
    forward = forwards.start("n", "svc/silent", 80)
    with pytest.raises(ClusterError, match="did not open within"):
        forward.wait(within=0.5)
    assert forward.pid is None


def test_killed_with_its_parent(kubectl: Kubectl) -> None:
    program = textwrap.dedent(
        f"""
        from meshtrail.cluster.forward import Forwards
        from meshtrail.cluster.kubectl import Kubectl
        import time
        forward = Forwards(Kubectl({kubectl.program!r}, {kubectl.context!r})).start("n", "svc/a", 80).wait()
        print(forward.pid, flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    eventually(lambda: not alive(pid), what="kubectl is gone")
