"""What the tests of the services share: the real process, a recording upstream, an OTLP receiver.

IMPLEMENTATIONS is the table the contract runs over. A new service, or a new language of one, is one more row in it.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.absent import absent

from helloworld.app import PROCESSOR, SYSTEM
from meshtrail.errors import MeshtrailError
from meshtrail.local import toolchains
from reviews.app import TEXTS

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"
DEADLINE = 20.0  # seconds: far above what anything here takes on a busy machine
FORMS = ("plain", "otel")
DATABASE_ANSWER = {"message": "Data from database", "records": 42}
BACKEND_ANSWER = {"message": "Backend response", "database_data": DATABASE_ANSWER, "processed": 84}


Tree = Mapping[str, tuple[str, str | None]]  # name of a span -> its kind, the name of its parent


def url_in(variable: str) -> Callable[[str], dict[str, str]]:
    """How a service is told of its upstream: one variable with a URL (three-tier)."""
    return lambda url: {variable: url}


def host_and_port_in(*prefixes: str) -> Callable[[str], dict[str, str]]:
    """How a service is told of its upstream: X_HOSTNAME and X_SERVICE_PORT for each X (Bookinfo)."""

    def environment(url: str) -> dict[str, str]:
        host, _, port = url.removeprefix("http://").rpartition(":")
        names = {f"{prefix}_HOSTNAME": host for prefix in prefixes}
        return names | {f"{prefix}_SERVICE_PORT": port for prefix in prefixes}

    return environment


@dataclass(frozen=True, eq=False)
class Implementation:
    """One service in one language: how each form is started, and what the contract says of it.

    A request to `path` makes at most one request to the upstream, which the tests play.
    """

    service: str
    language: str
    path: str
    answer: Any  # of `path`: JSON, or text when it is a str
    upstream: str = ""  # the service that it calls
    upstream_environment: Callable[[str], dict[str, str]] = field(default=lambda url: {}, repr=False)
    upstream_path: str = ""
    upstream_answer: Any = None
    # Statuses when the upstream fails and when it is late; None where the service has tests of its own for that.
    failure_status: tuple[int, int] | None = (502, 504)
    passes_errors: bool = False  # a status from 400 on is the upstream's own
    timeout_variable: str = "UPSTREAM_TIMEOUT"  # seconds that the upstream may take; empty where it is fixed
    own_environment: Mapping[str, str] = field(default_factory=dict)  # what it needs in all tests
    routing: frozenset[str] = frozenset({"end-user"})  # routing headers that it forwards
    methods: frozenset[str] = frozenset({"GET"})  # that `path` allows
    content_type: str = "application/json"
    route: str = ""  # http.route of its server span, `path` when empty
    spans: Tree = field(default_factory=dict)  # otel form: what one request makes; the parent of None is the caller's

    def command(self, form: str) -> list[str]:
        try:
            return toolchains.command(ROOT, self.service, self.language, form)
        except MeshtrailError as error:
            if "is not on the PATH" in error.message:
                absent(error.message)
            raise

    def environment(self) -> dict[str, str]:
        return toolchains.environment(ROOT, self.service, self.language) | dict(self.own_environment)

    def upstream_at(self, url: str, timeout: float | None = None) -> dict[str, str]:
        """The variables that point the service at an upstream, which may take `timeout` seconds."""
        late = {self.timeout_variable: f"{timeout:g}"} if self.upstream and self.timeout_variable and timeout else {}
        return self.upstream_environment(url) | late

    def failed_with(self, status: int = 0) -> int:
        """The status of an answer when the upstream's is `status`, or when there is none."""
        assert self.failure_status
        return status if self.passes_errors and status >= 400 else self.failure_status[0]

    def check(self, response: httpx.Response) -> None:
        """Assert that a response is the answer to `path`."""
        text = isinstance(self.answer, str)
        assert (response.status_code, response.text if text else response.json()) == (200, self.answer)

    def __str__(self) -> str:
        return f"{self.service}-{self.language}"


_FRONTEND = Implementation(
    service="frontend",
    language="python",
    path="/",
    answer={"message": "Frontend response", "backend_data": BACKEND_ANSWER},
    upstream="backend",
    upstream_environment=url_in("BACKEND_URL"),
    upstream_path="/api/data",
    upstream_answer=BACKEND_ANSWER,
    spans={"GET /": ("server", None), "GET": ("client", "GET /")},
)
_BACKEND = Implementation(
    service="backend",
    language="python",
    path="/api/data",
    answer=BACKEND_ANSWER,
    upstream="database",
    upstream_environment=url_in("DATABASE_SERVICE_URL"),
    upstream_path="/query",
    upstream_answer=DATABASE_ANSWER,
    spans={
        "GET /api/data": ("server", None),
        "processBusinessLogic": ("internal", "GET /api/data"),
        "fetchFromDatabase": ("internal", "processBusinessLogic"),
        "GET": ("client", "fetchFromDatabase"),
    },
)
_DATABASE = Implementation(
    service="database",
    language="python",
    path="/query",
    answer=DATABASE_ANSWER,
    spans={"GET /query": ("server", None), "SELECT records": ("client", "GET /query")},
)
DETAILS_ANSWER = {
    "id": 0,
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}
# Its API, which asks one upstream; tests/services/bookinfo has the page.
_PRODUCTPAGE = Implementation(
    service="productpage",
    language="python",
    path="/api/v1/products/0",
    answer=DETAILS_ANSWER,
    upstream="details",
    upstream_environment=host_and_port_in("DETAILS", "REVIEWS", "RATINGS"),
    upstream_path="/details/0",
    upstream_answer=DETAILS_ANSWER,
    failure_status=(500, 500),
    passes_errors=True,
    # Not end-user: productpage itself says who is signed in.
    routing=frozenset({"user-agent", "cookie", "authorization", "jwt"}),
    route="/api/v1/products/<number>",
    spans={
        "GET /api/v1/products/<number>": ("server", None),
        "GET": ("client", "GET /api/v1/products/<number>"),
    },
)
_RATINGS_ANSWER = {"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}
# Its book from the service outside, so that it has an upstream; tests/services/bookinfo has the one that it knows.
_DETAILS = Implementation(
    service="details",
    language="python",
    path="/details/0",
    answer={
        "id": 0,
        "author": "W. Shakespeare",
        "year": 2002,
        "type": "paperback",
        "pages": 64,
        "publisher": "Dover",
        "language": "English",
        "ISBN-10": "0486424618",
        "ISBN-13": "9780486424613",
    },
    upstream="books",
    upstream_environment=url_in("BOOK_SERVICE_URL"),
    upstream_path="/books/v1/volumes?q=isbn:0486424618",
    upstream_answer={
        "items": [
            {
                "volumeInfo": {
                    "authors": ["W. Shakespeare"],
                    "publishedDate": "2002-10-15",
                    "printType": "BOOK",
                    "pageCount": 64,
                    "publisher": "Dover",
                    "language": "en",
                    "industryIdentifiers": [
                        {"type": "ISBN_10", "identifier": "0486424618"},
                        {"type": "ISBN_13", "identifier": "9780486424613"},
                    ],
                }
            }
        ]
    },
    own_environment={"ENABLE_EXTERNAL_BOOK_SERVICE": "true"},
    routing=frozenset(),
    route="/details/<product>",
    spans={"GET /details/<product>": ("server", None), "GET": ("client", "GET /details/<product>")},
)
_REVIEWS = Implementation(
    service="reviews",
    language="python",
    path="/reviews/0",
    answer={
        "id": "0",
        "podname": "reviews-v3-0",
        "clustername": "somewhere",
        "reviews": [
            {"reviewer": reviewer, "text": text, "rating": {"stars": stars, "color": "red"}}
            for (reviewer, text), stars in zip(TEXTS.items(), (5, 4), strict=True)
        ],
    },
    upstream="ratings",
    upstream_environment=host_and_port_in("RATINGS"),
    upstream_path="/ratings/0",
    upstream_answer=_RATINGS_ANSWER,
    failure_status=None,  # reviews without stars: tests/services/bookinfo/test_reviews.py
    timeout_variable="",
    own_environment={
        "ENABLE_RATINGS": "true",
        "STAR_COLOR": "red",
        "HOSTNAME": "reviews-v3-0",
        "CLUSTER_NAME": "somewhere",
    },
    routing=frozenset({"end-user", "user-agent", "cookie", "authorization", "jwt"}),
    route="/reviews/<product>",
    spans={
        "GET /reviews/<product>": ("server", None),
        "fetchRatings": ("internal", "GET /reviews/<product>"),
        "GET": ("client", "fetchRatings"),
    },
)
_RATINGS = Implementation(
    service="ratings",
    language="python",
    path="/ratings/0",
    answer=_RATINGS_ANSWER,
    methods=frozenset({"GET", "POST"}),
    route="/ratings/<product>",
    spans={"GET /ratings/<product>": ("server", None)},
)
_DATABASE_GO = replace(_DATABASE, language="go")
_HELLOWORLD = Implementation(
    service="helloworld",
    language="python",
    path="/",
    answer=f"hello world, I'm running on {SYSTEM} with an {PROCESSOR} CPU",
    content_type="text/plain; charset=utf-8",
    spans={"GET /": ("server", None)},
)
_HELLOWORLD_GO = replace(_HELLOWORLD, language="go")
IMPLEMENTATIONS = (
    _FRONTEND,
    replace(_FRONTEND, language="node"),
    _BACKEND,
    _DATABASE,
    _PRODUCTPAGE,
    _DETAILS,
    _REVIEWS,
    _RATINGS,
    _DATABASE_GO,
    _HELLOWORLD,
    _HELLOWORLD_GO,
)


def implementation(service: str, language: str = "python") -> Implementation:
    (found,) = [one for one in IMPLEMENTATIONS if (one.service, one.language) == (service, language)]
    return found


FRONTEND, BACKEND, DATABASE = (implementation(service) for service in ("frontend", "backend", "database"))
CALLERS = tuple(one for one in IMPLEMENTATIONS if one.upstream)
DATABASES = tuple(one for one in IMPLEMENTATIONS if one.service == "database")
# One for each way of serving: FastAPI, Flask, Express, net/http. For what is the same code in all services of a kind.
KINDS = tuple(
    one for one in IMPLEMENTATIONS if str(one) in ("frontend-python", "backend-python", "frontend-node", "database-go")
)


def wait_for(condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = DEADLINE) -> Any:
    """Return the first true value of `condition`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what if isinstance(what, str) else what()}"
        time.sleep(0.01)


def client(url: str = "") -> httpx.Client:
    """A client that loads no certificate authorities: that takes longer than most tests here."""
    return httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False, verify=False)


class Process:
    """A service as a real process on a free port, with an environment that holds only what a test says."""

    def __init__(self, implementation: Implementation, form: str, **environment: str) -> None:
        self.implementation = implementation
        self.form = form
        self.lines: list[str] = []
        self._entries: list[dict[str, Any]] = []
        self.mode = environment.get("PROPAGATION", "all")
        passed = {name: value for name in ("PATH", "HOME", "TMPDIR") if (value := os.environ.get(name))}
        self.popen = subprocess.Popen(
            implementation.command(form),
            env={**passed, **implementation.environment(), "PORT": "0", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            started = wait_for(self._listening, f"{implementation} to listen")
        except BaseException:
            self.kill()
            raise
        self.port = int(started["port"])
        self.url = f"http://127.0.0.1:{self.port}"
        self.control = f"http://127.0.0.1:{started.get('control_port')}/propagation"
        self.client = client(self.url)

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))

    def _listening(self) -> dict[str, Any] | None:
        assert self.popen.poll() is None, f"ended with {self.popen.returncode}: {self.lines}"
        return next((entry for entry in self.logs() if entry["message"].startswith("listening")), None)

    def logs(self) -> list[dict[str, Any]]:
        """Return the log lines so far; each has to be one JSON object."""
        self._entries += [json.loads(line) for line in self.lines[len(self._entries) :]]
        return list(self._entries)

    def get(self, path: str | None = None, headers: Any = None) -> httpx.Response:
        return self.client.get(self.implementation.path if path is None else path, headers=headers)

    def switch(self, mode: str) -> None:
        answer = self.client.put(self.control, json={"mode": mode})
        assert (answer.status_code, answer.json()) == (200, {"mode": mode})
        self.mode = mode

    def terminate(self, number: int = signal.SIGTERM) -> None:
        self.popen.send_signal(number)

    def stop(self) -> int:
        """Ask the process to end; return its exit status."""
        if self.popen.poll() is None:
            self.terminate()
        return self.wait()

    def wait(self) -> int:
        status = self.popen.wait(DEADLINE)
        self._reader.join(DEADLINE)
        self.client.close()
        return status

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()
        self._reader.join(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            status = self.stop()
        finally:
            if self.popen.poll() is None:
                self.kill()
        if error is None:
            assert status == 0, self.lines


def refused(port: int) -> bool:
    """Whether nothing listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def run_to_end(implementation: Implementation, form: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a service that is expected to refuse its start."""
    passed = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        implementation.command(form),
        env={**passed, **implementation.environment(), "PORT": "0", **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of some tests."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


@dataclass
class Answer:
    """What an upstream says: after `gate` is set, `status` and `body`; `action` may take over the connection."""

    status: int = 200
    body: bytes = b"{}"
    gate: threading.Event | None = None
    action: Callable[[BaseHTTPRequestHandler], None] | None = None


class Upstream(Server):
    """Records the headers of each request, names in lower case, and answers as told."""

    def __init__(self, content: Any) -> None:
        self.seen: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.healthy = Answer(body=json.dumps(content).encode())
        self.answer = self.healthy
        super().__init__(_UpstreamHandler)

    def reset(self) -> None:
        self.answer = self.healthy
        self.seen.clear()
        self.paths.clear()


class _UpstreamHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an acknowledgement
    server: Upstream

    def do_GET(self) -> None:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            assert name.lower() not in headers, f"{name} came twice"
            headers[name.lower()] = value
        self.server.seen.append(headers)
        self.server.paths.append(self.path)
        answer = self.server.answer
        if answer.gate:
            answer.gate.wait(DEADLINE)
        if answer.action:
            answer.action(self)
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests quiet."""


@dataclass(frozen=True)
class Span:
    """One exported span; identifiers are hexadecimal, `parent` is empty for a root."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    error: bool
    events: tuple[str, ...]
    attributes: Mapping[str, Any] = field(hash=False)


class Collector(Server):
    """An OTLP/HTTP receiver (protobuf) that keeps what it got."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.by_trace: defaultdict[str, list[Span]] = defaultdict(list)
        super().__init__(_CollectorHandler)

    def trace(self, trace_id: str, spans: int) -> dict[str, Span]:
        """Return the spans of a trace by name, once there are `spans` of them."""
        found = self.by_trace[trace_id]
        wait_for(
            lambda: len(found) >= spans, lambda: f"{spans} spans of {trace_id}, have {[one.name for one in found]}"
        )
        assert len(found) == spans, [one.name for one in found]
        return {one.name: one for one in found}


class _CollectorHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an acknowledgement
    server: Collector

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    got = _span(attributes["service.name"], span)
                    self.server.by_trace[got.trace].append(got)
                    self.server.spans.append(got)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self) -> bytes:
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        parts = []
        while size := int(self.rfile.readline(), 16):  # Envoy sends chunks
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests quiet."""


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=("", "internal", "server", "client")[span.kind],
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        error=span.status.code == 2,
        events=tuple(event.name for event in span.events),
        attributes={one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes},
    )
