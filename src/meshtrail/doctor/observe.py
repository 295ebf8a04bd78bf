"""Reads traces into `Seen`: one pass over the spans of each, which is then let go."""

from __future__ import annotations

from collections.abc import Iterable

from meshtrail.doctor.attributes import (
    agent_of,
    authority_of,
    called_by,
    endpoint,
    path_of,
    short_host,
    speaks,
)
from meshtrail.doctor.seen import By, Call, Entry, How, Orphan, Seen, Server
from meshtrail.doctor.traits import doubles, observe_span, pair_up
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace

Children = dict[str, list[Span]]


def observe(traces: Iterable[Trace], *, now_us: int | None = None, settle_us: int = 0) -> Seen:
    """A trace whose last span ended less than `settle_us` before `now_us` is not held to be complete.

    A trace that is given twice counts once.
    """
    seen = Seen()
    known: set[str] = set()
    for trace in traces:
        if trace.trace_id in known:
            continue
        known.add(trace.trace_id)
        _Look(seen, trace, now_us, settle_us).take()
    seen.starts.sort()
    return seen


def by_of(span: Span) -> By:
    """A waypoint stands between services, as a gateway does."""
    tags = span.tags
    if tags.get("component") != "proxy":
        return "application"
    node = str(tags.get("node_id", ""))
    if node.startswith(("router~", "waypoint~")) or span.name.startswith("router "):
        return "gateway"
    # What a sidecar hands on as a server is not a request to its own service.
    outbound = span.kind == "server" and str(tags.get("upstream_cluster", "")).startswith("outbound|")
    return "gateway" if outbound else "sidecar"


class _Look:
    """One trace. `by` holds who made each span, in the order of `spans`."""

    def __init__(self, seen: Seen, trace: Trace, now_us: int | None, settle_us: int) -> None:
        self.seen = seen
        self.id = trace.trace_id
        self.spans = trace.spans
        self.end_us = max(span.end_us for span in self.spans)
        self.settled = now_us is None or self.end_us < now_us - settle_us
        self.by = {id(span): by_of(span) for span in self.spans}
        self.known: dict[str, Span] = {}
        self.children: Children = {}
        for span in self.spans:
            if span.span_id not in self.known or span.kind == "server":
                self.known[span.span_id] = span
            if span.parent_id is not None:
                self.children.setdefault(span.parent_id, []).append(span)

    def take(self) -> None:
        seen, spans = self.seen, self.spans
        seen.traces += 1
        seen.unsettled += not self.settled
        start = spans[0].start_us
        seen.starts.append(start)
        seen.first_us = min(seen.first_us or start, start)
        seen.last_us = max(seen.last_us, self.end_us)
        servers: dict[str, list[Server]] = {}
        for span in spans:
            seen.names[span.service] = None
            by = self.by[id(span)]
            observe_span(seen, span, by)
            if span.kind == "server":
                self.server(span, by, servers)
        self.begin()
        for span in spans:
            by = self.by[id(span)]
            if span.kind == "client":
                if by == "application":
                    self.sdk_call(span)
                else:
                    self.call(span, by, servers)
                pair_up(seen, span, self.children.get(span.span_id, ()), by)
            parent = span.parent_id
            if parent is None:
                continue
            above = self.known.get(parent)
            if above is None:
                self.orphan(span, by, servers)
            elif by == "application" and above is not span and self.by[id(above)] == "application":
                doubles(seen, span, above)
        for app, found in servers.items():
            for server in found:
                seen.servers.setdefault(server.service if server.by != "application" else app, []).append(server)

    def server(self, span: Span, by: By, servers: dict[str, list[Server]]) -> None:
        """Keeps the SERVER span, once for a request that the sidecar and an SDK both saw."""
        if by == "gateway":
            return
        parent = self.known.get(span.parent_id) if span.parent_id else None
        tags = span.tags
        record = Server(
            self.id,
            span.service,
            by,
            str(tags.get("node_id", "")),
            str(tags.get("istio.canonical_revision", "")),
            span.request_id,
            endpoint(path_of(tags)),
            span.start_us,
            span.end_us,
            ok=(span.http_status or 0) < 400 and not span.response_flags,
        )
        mine = servers.setdefault(span.app, [])
        if by == "application":
            if span.parent_id is None:
                self.seen.sdk_roots.setdefault(span.app, []).append(record)
            if mine and mine[0].by == "sidecar":
                for server in mine:
                    server.own = True
                return
            if parent is not None and parent.kind == "server" and parent.app == span.app:
                return
        elif mine and mine[0].by == "application":
            # Behind a Zipkin tracer both have the caller's CLIENT as parent, and the SDK's may come first.
            mine.clear()
            record.own = True
        mine.append(record)

    def call(self, span: Span, by: By, servers: dict[str, list[Server]]) -> None:
        seen, tags = self.seen, span.tags
        if by == "gateway" and str(tags.get("node_id", "")).startswith("waypoint~"):
            return
        host, subset, in_cluster = called_by(span)
        status = span.http_status
        answered = bool(host) and status is not None and not span.response_flags
        how: How = "joined"
        if by == "gateway":
            how = "gateway"
        elif span.parent_id is None:
            how = "root"
        elif span.parent_id not in self.known:
            how = "orphan"
        record = Call(
            self.id,
            span.service,
            host or authority_of(tags).partition(":")[0] or span.name,
            subset,
            in_cluster,
            str(tags.get("node_id", "")),
            str(tags.get("istio.canonical_revision", "")),
            span.request_id,
            path_of(tags),
            span.start_us,
            span.end_us,
            how,
            answered,
            self.settled,
            speaks=speaks(span),
        )
        end = self.other_end(span, record)
        seen.calls.setdefault((record.service, record.host), []).append(record)
        mine = servers.get(span.app, [])
        if how in ("joined", "orphan"):
            self.join(record, mine)
        # A route that takes the header away takes it from the CLIENT span too.
        ids = {record.request_id} if record.request_id else {server.request_id for server in mine}
        if by == "sidecar" and end and end.request_id and ids - {None} and end.request_id not in ids:
            seen.changed_between[record.service, end.service].add(self.id)
        unseen = not any(server.by == "sidecar" for server in mine)
        if how == "joined" and by == "sidecar" and unseen:
            self.hop_between(span)

    def other_end(self, span: Span, call: Call) -> Span | None:
        """Who reported the other end of a call; the sidecar's or gateway's span there.

        An inbound sidecar takes its span's name over from the caller's, so another host's name there says that the
        called one is silent and this is a service behind it.
        """
        twin = self.known[span.span_id]
        below = self.children.get(span.span_id, ())
        found = None
        for other in (*below, twin) if twin is not span else below:
            if other.kind != "server":
                continue
            by = self.by[id(other)]
            if by == "application":
                call.by_sdk = call.by_sdk or other.service
                continue
            if call.in_cluster and other.service != call.host and by == "sidecar":
                named = other.name.partition(":")[0]
                host = short_host(named)
                asked = authority_of(other.tags)
                if host != named and host != call.host and asked and asked != authority_of(span.tags):
                    ours = short_host(span.name.partition(":")[0])
                    if ours == call.host or span.name.startswith("router "):
                        call.beyond = other.service
                        continue
            call.reached = other.service
            found = other
        return found

    def join(self, call: Call, servers: Iterable[Server]) -> None:
        """Notes the call at the request of its service that made it."""
        mine = list(servers)
        if len(mine) > 1:
            mine = [server for server in mine if server.start_us <= call.start_us <= server.end_us] or mine[-1:]
        for server in mine:
            if call.host not in server.called:
                server.called += (call.host,)
        if mine and mine[0].request_id and call.request_id and call.how == "joined":
            tally = self.seen.changed_ids[call.service, call.host]
            tally.total += 1
            if all(server.request_id != call.request_id for server in mine):
                tally.add(self.id)

    def hop_between(self, span: Span) -> None:
        """A sidecar's CLIENT whose nearest proxy span above is another service's, its own SERVER is not there."""
        above = self.known.get(span.parent_id or "")
        for _ in range(len(self.spans)):
            if above is None or above is span:
                return
            by = self.by[id(above)]
            if by != "application":
                break
            above = self.known.get(above.parent_id or "")
        else:
            return
        if by != "sidecar" or above.kind != "server" or above.service == span.service or above.app == span.app:
            return
        self.seen.tcp_hops[above.service, span.service].add(self.id)

    def sdk_call(self, span: Span) -> None:
        """An HTTP call as the application saw it; whether its sidecar saw it too."""
        tags = span.tags
        if ("http.request.method" not in tags and "http.method" not in tags) or span.http_status is None:
            return
        if str(tags.get("url.full") or tags.get("http.url") or "").startswith("https:"):
            return
        below = self.children.get(span.span_id, ())
        if not self.settled:
            return
        unseen = all(self.by[id(child)] == "application" for child in below)
        # The name of who answered is better than an address, behind which there may be a port-forward.
        answered = (child.service for child in below if child.kind == "server" and child.app != span.app)
        host = (next(answered, "") if unseen else "") or authority_of(tags).partition(":")[0]
        tally = self.seen.sdk_calls[span.app, host]
        tally.total += 1
        if unseen:
            tally.add(self.id)

    def begin(self) -> None:
        """The request from outside with which the trace begins."""
        for span in self.spans:
            if span.kind != "server" or (span.parent_id is not None and span.parent_id in self.known):
                continue
            by = self.by[id(span)]
            first = span
            if by == "gateway":
                inner = (one for one in self.spans if one.kind == "server" and self.by[id(one)] != "gateway")
                first = next(inner, span)
            tags = span.tags
            self.seen.entries.append(
                Entry(
                    self.id,
                    by,
                    first.service,
                    span.service,
                    span.request_id,
                    span.parent_id is not None,
                    authority_of(tags),
                    path_of(tags),
                    agent_of(tags),
                    str(tags.get("node_id", "")).startswith(("sidecar~", "router~")),
                    speaks(span),
                )
            )
            return

    def orphan(self, span: Span, by: By, servers: dict[str, list[Server]]) -> None:
        if span.kind == "server" and self.spans[0] is span:
            # Where the trace begins: a client outside has a trace of its own.
            return
        mine = servers.get(span.app, ())
        between = span.kind != "server" and any(server.start_us <= span.start_us for server in mine)
        before = ""
        if span.kind == "server":
            at_work = [
                server
                for found in servers.values()
                for server in found
                if server.start_us < span.start_us <= server.end_us and server.service != span.service
            ]
            before = max(at_work, key=lambda server: server.start_us).service if at_work else ""
            if not before and not any(one.start_us < span.start_us for one in self.spans):
                return
        self.seen.orphans.append(
            Orphan(self.id, span.service, span.kind, by, span.start_us, between, before, self.settled)
        )
