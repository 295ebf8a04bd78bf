"""The life of a service: settings, logs, switch, listening sockets, and an end that loses no request."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from meshtrail_common import logs
from meshtrail_common.forwarding import Forwarder
from meshtrail_common.propagation import Switch
from meshtrail_common.settings import CommonSettings, StartError, load

if TYPE_CHECKING:
    from fastapi import FastAPI
    from flask import Flask

S = TypeVar("S", bound=CommonSettings)

GRACE_SECONDS = 10
# Envoy keeps an idle connection for an hour. The side that sends requests has to be the one that closes, else a
# request and the close cross on the wire and the request fails.
KEEP_ALIVE_SECONDS = 3605

_log = logging.getLogger("serve")


class Service(Generic[S]):
    """A service about to serve: its settings, its switch and what it forwards."""

    def __init__(self, name: str, settings: S) -> None:
        self.name = name
        self.settings = settings
        self.log_formatter = logs.configure(name, settings.log_level)
        self.switch = Switch(settings.propagation)
        self.forward = Forwarder(self.switch)

    def serve_asgi(self, app: FastAPI) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is in flight (10 s at most)."""
        import uvicorn

        config = uvicorn.Config(
            app,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = uvicorn.Server(config)

        def stop(*_: object) -> None:
            server.should_exit = True

        # uvicorn raises the signals it caught once more at its end, for the handlers that were there before.
        _on_signal(stop)
        server.run(sockets=[self._open()])

    def serve_wsgi(self, app: Flask, threads: int) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is in flight (10 s at most)."""
        from waitress import create_server, wasyncore  # type: ignore[import-untyped]

        from meshtrail_common.refusals import Channel

        stopping = False
        server: Any = None
        sockets: dict[int, object] = {}

        def stop(*_: object) -> None:
            nonlocal stopping
            stopping = True
            if server is not None:
                server.pull_trigger()

        # Before the line `listening`: who reads it may end the service at once.
        _on_signal(stop)
        server = create_server(
            app,
            map=sockets,
            sockets=[self._open()],
            threads=threads,
            connection_limit=1000,
            channel_timeout=KEEP_ALIVE_SECONDS,
            max_request_body_size=64 * 1024,
            ident=None,
        )
        server.channel_class = Channel

        def turn(seconds: float) -> None:
            wasyncore.loop(timeout=seconds, use_poll=True, map=sockets, count=1)

        while not stopping:
            turn(5)
        # waitress by itself would leave answers that its threads have yet to give: turn its loop until they are sent.
        server.accepting = False
        server.del_channel()
        server.socket.close()
        deadline = time.monotonic() + GRACE_SECONDS
        while server.active_channels and time.monotonic() < deadline:
            for channel in list(server.active_channels.values()):
                if not (channel.requests or channel.total_outbufs_len):
                    channel.will_close = True
                for request in list(channel.requests):
                    # As if the client had asked for it: the answer says that the connection ends with it.
                    request.headers["CONNECTION"] = "close"
            turn(0.05)

    def _open(self) -> socket.socket:
        """Listen on PORT and, when PROPAGATION_CONTROL is on, answer on the control port."""
        settings = self.settings
        sock = listen(settings.host, settings.port, "PORT")
        fields = {"port": sock.getsockname()[1]}
        if settings.propagation_control:
            from meshtrail_common.control import ControlServer

            control = listen(settings.control_host or settings.host, settings.control_port, "CONTROL_PORT")
            fields["control_port"] = control.getsockname()[1]
            ControlServer(control, self.switch, settings.control_allowed_hosts).start()
        _log.info("listening on %s port %d", settings.host, fields["port"], extra={"fields": fields})
        return sock


def listen(host: str, port: int, variable: str) -> socket.socket:
    """Return a listening TCP socket; StartError when the address or port cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"{variable}={port}: the port is in use on {host}, choose another {variable}") from None
        raise StartError(f"cannot listen on {host} port {port} ({variable}): {error.strerror or error}") from None


def _on_signal(handler: signal._HANDLER) -> None:
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


@contextmanager
def start(name: str, settings: type[S]) -> Iterator[Service[S]]:
    """Read the environment and hand out the service; a StartError ends the process with one line and status 2."""
    try:
        yield Service(name, load(settings))
    except StartError as error:
        sys.stderr.write(f"{name}: {error}\n")
        raise SystemExit(2) from None
