"""Exercise 2: backend makes spans of its own, inside of the trace that the sidecars make."""

from __future__ import annotations

from collections.abc import Iterator

from meshtrail.exercises import Room, Said, done, missing, wrong
from meshtrail.model.span import Span
from meshtrail.model.trace import Trace

SERVICE = "backend"


def check(room: Room) -> Iterator[Said]:
    """The form that runs, what a request's trace holds in it, and what the participant read there."""
    form = form_of_backend(room)
    yield form
    if form.state != "done":
        return
    sent = room.send(2)
    requests = room.requests(sent)
    if not requests:
        yield missing("no-trace", gateway=room.gateway)
        return
    trace = requests[-1].traces[0]
    own = own_spans(trace)
    if not own:
        yield missing("no-own-spans", trace=trace.trace_id)
        return
    if not all(request.complete for request in requests):
        yield wrong("two-traces", summary=requests[-1].summary)
        return
    sidecars = sum(span.by_proxy for span in trace.spans)
    yield done("both-kinds", own=len(own), sidecars=sidecars, trace=trace.trace_id)
    yield read(room, trace)


def form_of_backend(room: Room) -> Said:
    """Whether an image with the SDK runs; else what was changed instead."""
    if room.form(SERVICE) == "otel":
        return done("otel")
    others = [service for service in room.services if room.form(service) == "otel"]
    if others:
        return wrong("other-service", service=others[0])
    deployment = room.object("Deployment", SERVICE) or {}
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    settings = [entry["name"] for entry in containers[0].get("env") or [] if str(entry["name"]).startswith("OTEL_")]
    if settings:
        return wrong("settings-only", settings=settings)
    return missing("plain")


def read(room: Room, trace: Trace) -> Said:
    """The answer: the name of a span that no sidecar could have made."""
    if not room.answer:
        return missing("no-answer")
    wanted = room.answer.strip().lower()
    meant = [span for span in trace.spans if wanted in (span.name.lower(), f"{span.app} {span.name}".lower())]
    inside = [span for span in meant if is_inside(span)]
    if inside:
        parent = trace.parent_of(inside[0])
        return done("inside", span=inside[0].name, ms=round(inside[0].duration_us / 1000, 1),
                    parent="" if parent is None else parent.name)  # fmt: skip
    if meant:
        return wrong("also-seen-outside", span=meant[0].name, kind=meant[0].kind.upper())
    return wrong("no-such-span", answer=room.answer)


def own_spans(trace: Trace) -> list[Span]:
    return [span for span in trace.spans if span.maker == "application" and span.app == SERVICE]


def is_inside(span: Span) -> bool:
    """Made by the application, and no call that passes a sidecar."""
    return span.maker == "application" and span.kind not in ("server", "client")
