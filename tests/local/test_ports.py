from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from meshtrail.errors import MeshtrailError
from meshtrail.local.ports import BusyPortsError, FixedPort, Ports


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


def listen(port: int, *, reuse: bool = True) -> socket.socket:
    sock = socket.socket()
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    return sock


def test_a_chosen_port_is_for_who_listens_there_and_nobody_else(ports: Ports) -> None:
    port = ports.free()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    # The one it is meant for may listen, go, and come again.
    for _ in range(2):
        with listen(port), socket.create_connection(("127.0.0.1", port)):
            pass


def test_chosen_ports_differ_and_can_be_given_back(ports: Ports) -> None:
    chosen = [ports.free() for _ in range(50)]
    assert len(set(chosen)) == 50
    ports.release(chosen[0])
    with socket.socket() as other:
        other.bind(("127.0.0.1", chosen[0]))


def test_every_busy_port_is_named_and_none_is_kept(ports: Ports) -> None:
    with listen(0) as one, listen(0) as two, socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        free = spare.getsockname()[1]
        spare.close()
        busy = [one.getsockname()[1], two.getsockname()[1]]
        wanted = {
            "a": FixedPort("--a-port", "this", busy[0]),
            "b": FixedPort("--b-port", "that", free),
            "c": FixedPort("--c-port", "other", busy[1]),
        }
        with pytest.raises(BusyPortsError) as caught:
            ports.claim(wanted)
        text = str(caught.value)
        assert all(word in text for word in ("--a-port", "--c-port", str(busy[0]), str(busy[1]), "--ports auto"))
        assert "--b-port" not in text
        with socket.socket() as other:
            other.bind(("127.0.0.1", free))


def test_one_port_for_two_purposes_is_refused(ports: Ports) -> None:
    port = ports.free()
    ports.release(port)
    with pytest.raises(BusyPortsError, match="--b-port"):
        ports.claim({"a": FixedPort("--a-port", "this", port), "b": FixedPort("--b-port", "that", port)})


def test_a_port_that_just_served_is_free_again() -> None:
    with listen(0) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the server closes first: its end waits in TIME_WAIT
        client.close()
    ports = Ports()
    try:
        assert ports.claim({"a": FixedPort("--a-port", "this", port)}) == {"a": port}
    except MeshtrailError as error:
        pytest.fail(str(error))
    finally:
        ports.close()
