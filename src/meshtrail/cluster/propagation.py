"""The propagation switch of the services on a cluster: every pod's control port, through port-forwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from meshtrail.cluster.application import CONTROL_PORT, PodStatus, pod_status, pods_of, workloads
from meshtrail.cluster.forward import Forward
from meshtrail.cluster.http import Answer, ask
from meshtrail.cluster.kubectl import ClusterError
from meshtrail.cluster.session import Session

MODES = ("all", "b3", "w3c", "none")
PATH = "/propagation"
WITHIN_S = 5.0


def pods(session: Session) -> dict[str, tuple[PodStatus, ...]]:
    """The pods of each service of the application, by the label `app`."""
    found: dict[str, list[PodStatus]] = {}
    for workload in workloads(session.snapshot):
        for pod in pods_of(session.snapshot, workload):
            status = pod_status(pod)
            if status.service:
                found.setdefault(status.service, []).append(status)
    return {service: tuple(found[service]) for service in sorted(found)}


def show(session: Session, service: str | None = None) -> dict[str, dict[str, str]]:
    """The mode of each pod that has a switch, as the pod says, by service. Raises ClusterError."""
    known = pods(session)
    if service is not None:
        known = {service: _switchable(session, known, service)}
    meant = {name: tuple(pod for pod in found if pod.switch and pod.is_ready) for name, found in known.items()}
    meant = {name: found for name, found in meant.items() if found}
    if not meant:
        raise ClusterError(f"no pod in namespace {session.where.namespace} has a propagation switch", mend=_how_to())
    forwards = _open(session, [pod for found in meant.values() for pod in found])
    return {name: {pod.name: _get(forwards[pod.name]) for pod in found} for name, found in meant.items()}


def switch(session: Session, service: str, mode: str) -> dict[str, dict[str, str]]:
    """Switch every pod of the service, or none: one that fails puts those before it back. Raises ClusterError."""
    if mode not in MODES:
        raise ClusterError(f"no propagation mode '{mode}'", mend=f"take one of: {', '.join(MODES)}")
    meant = _switchable(session, pods(session), service)
    forwards = _open(session, meant)
    before = {pod.name: _get(forwards[pod.name]) for pod in meant}
    done: list[str] = []
    for pod in meant:
        # Also the one that failed: it may have switched, and its answer been lost.
        done.append(pod.name)
        try:
            _put(forwards[pod.name], mode)
        except ClusterError as error:
            left = _put_back(forwards, {name: before[name] for name in done})
            state = f"{', '.join(left)} may be switched" if left else "no pod is switched"
            raise ClusterError(f"{error.message}; {state}", mend=error.mend) from error
    return {service: dict.fromkeys((pod.name for pod in meant), mode)}


def _switchable(session: Session, known: Mapping[str, tuple[PodStatus, ...]], service: str) -> tuple[PodStatus, ...]:
    """Every pod of a service, each with its switch. Raises ClusterError when one has none or is not ready."""
    found = known.get(service)
    place = session.where.namespace
    if not found:
        raise ClusterError(
            f"no pods of service '{service}' in namespace {place}", mend=f"its services: {', '.join(known) or 'none'}"
        )
    without = [pod.name for pod in found if not pod.switch]
    if without:
        raise ClusterError(f"{service} has no propagation switch in namespace {place}", mend=_how_to())
    unready = [pod.name for pod in found if not pod.is_ready]
    if unready:
        raise ClusterError(
            f"{', '.join(unready)} is not ready, so not every pod of {service} can be switched",
            mend=f"see `{session.kubectl.call} -n {place} get pods -l app={service}`",
        )
    return found


def _how_to() -> str:
    return "add the component k8s/components/propagation-control to the overlay; the overlays of development have it"


def _open(session: Session, meant: Iterable[PodStatus]) -> dict[str, Forward]:
    """A port-forward to each pod's control port; all at once, since each takes a moment."""
    started = {
        pod.name: session.forwards.start(session.where.namespace, f"pod/{pod.name}", CONTROL_PORT) for pod in meant
    }
    return {name: forward.wait() for name, forward in started.items()}


def _get(forward: Forward) -> str:
    return _mode(forward, ask(forward.url + PATH, within=WITHIN_S))


def _put(forward: Forward, mode: str) -> None:
    body = json.dumps({"mode": mode}).encode()
    told = _mode(forward, ask(forward.url + PATH, method="PUT", body=body, within=WITHIN_S))
    if told != mode:
        raise ClusterError(f"{forward.what} says '{told}' after it was switched to '{mode}'")


def _mode(forward: Forward, answer: Answer | None) -> str:
    if answer is None:
        raise ClusterError(
            f"the control port {CONTROL_PORT} of {forward.what} does not answer",
            mend=f"see its log: kubectl -n {forward.what.replace('/', ' logs ')}",
        )
    try:
        told = json.loads(answer.body)
        if answer.status == 200:
            return str(told["mode"])
        reason = str(told["error"])
    except (ValueError, KeyError, TypeError):
        reason = "not an answer of the switch"
    raise ClusterError(f"the control port of {forward.what} answered {answer.status}: {reason}"[:300])


def _put_back(forwards: Mapping[str, Forward], before: Mapping[str, str]) -> list[str]:
    """Give each pod its earlier mode; those that do not take it."""
    left = []
    for name, mode in before.items():
        try:
            _put(forwards[name], mode)
        except ClusterError:
            left.append(name)
    return left
