"""Requests that the proxies themselves split: a sidecar did not read the headers that the proxy before it sent.

The x-request-id goes on, so the two traces are joined by it without a doubt. No application stands between the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshtrail.doctor.seen import Seen


@dataclass(frozen=True, slots=True)
class Split:
    """`caller` sent a request in the trace `sent`, `service` received it in the trace `received`."""

    caller: str
    service: str
    sent: str
    received: str
    formats: tuple[str, str]
    """What the two proxies speak."""


def splits(seen: Seen) -> tuple[Split, ...]:
    sent: dict[str, tuple[str, str, str]] = {}
    for call in seen.all_calls():
        if call.request_id and not call.reached:
            sent[call.request_id] = (call.service, call.trace, call.speaks)
    for entry in seen.entries:
        if entry.by == "gateway" and entry.request_id:
            sent.setdefault(entry.request_id, (entry.first, entry.trace, entry.speaks))
    found = []
    for entry in seen.entries:
        if entry.by != "sidecar" or entry.outside or entry.request_id is None:
            continue
        caller, trace, format_sent = sent.get(entry.request_id, ("", "", ""))
        if caller and trace != entry.trace:
            found.append(Split(caller, entry.service, trace, entry.trace, (format_sent, entry.speaks)))
    return tuple(found)
