"""What a check sees of the mesh that it looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from meshtrail.cluster.application import form_of
from meshtrail.exercises.observing import requests_of
from meshtrail.exercises.place import Object, Place
from meshtrail.exercises.sending import Answer, send
from meshtrail.exercises.settings import Target
from meshtrail.local.applications import application
from meshtrail.model.request import Request
from meshtrail.reading.jaeger import JaegerClient
from meshtrail.reading.search import last_requests, settled

if TYPE_CHECKING:
    from meshtrail.doctor.finding import Report


class Room:
    """One look of a check. `since_us`: when the exercise began, in microseconds since 1970, by the spans' clock.

    `case` is the breakage that was started ("" in an exercise with none), `answer` what the participant said with
    `--answer`. Everything raises MeshtrailError when it cannot look.
    """

    def __init__(
        self, place: Place, jaeger: JaegerClient, *, case: str, language: str, answer: str | None, since_us: int
    ) -> None:
        self._place = place
        self.jaeger = jaeger
        self.case = case
        self.language = language
        self.answer = answer
        self.since_us = since_us
        self.target: Target = place.target
        self.application: str = place.application
        self.gateway = place.gateway
        self.host = place.host
        self.namespace = place.namespace
        self._sent_us = place.now_us()

    @property
    def services(self) -> tuple[str, ...]:
        """The application's services, the gateway not among them."""
        return application(self.application).services

    def send(
        self,
        count: int = 1,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        parallel: int = 1,
    ) -> list[Answer]:
        """Requests through the gateway, by default to what the application shows; one after the other."""
        url = self.gateway + (application(self.application).path if path is None else path)
        return send(url, host=self.host, count=count, headers=headers or {}, parallel=parallel)

    def requests(self, marks: Iterable[Answer | str], *, within_s: float | None = None) -> tuple[Request, ...]:
        """The traces of requests that were sent, in order of start; waits until their spans have arrived.

        A request that was not sampled is not among them. `within_s`: seconds to wait at most, by default as long as a
        span can be on its way.
        """
        wanted = {one.mark if isinstance(one, Answer) else one for one in marks}
        return requests_of(
            self.jaeger,
            wanted,
            services=self._services(),
            since_us=self._sent_us,
            quiet_s=self._place.quiet_s,
            late_s=self._place.late_s if within_s is None else within_s,
        )

    def recent(self, limit: int = 50) -> tuple[Request, ...]:
        """The last requests since the exercise began, the newest at the end."""
        now_us = self._place.now_us()
        services = self._services()
        entry = None
        if services is not None:
            entry = next((name for name in services if name.startswith(f"{self.services[0]}.")), None)
        return settled(
            lambda: last_requests(self.jaeger, limit, service=entry, since_us=self.since_us, until_us=now_us)
        )

    def propagation(self) -> dict[str, str]:
        """What each service forwards: all, b3, w3c or none; by service, or by pod."""
        return self._place.propagation()

    def object(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object as it is now, in the application's namespace or the one that is named; None: it is not there."""
        return self._place.object(kind, name, namespace)

    def objects(self, kind: str) -> list[Object]:
        """The objects of a kind as they are now, those of the application's namespace and of the mesh's."""
        return self._place.objects(kind)

    def form(self, service: str) -> str:
        """`plain` or `otel`, by the image of the service's Deployments; empty: neither, or there is none."""
        forms = {
            form_of(str(container["image"]))
            for one in self.objects("Deployment")
            for labels in [one["spec"]["template"]["metadata"].get("labels") or {}]
            if labels.get("app") == service
            for container in one["spec"]["template"]["spec"]["containers"]
            if not str(container["name"]).startswith("istio-")
        }
        return forms.pop() if len(forms) == 1 else ""

    def variable(self, service: str, name: str) -> str:
        """A variable of the container of that name, in the Deployment of that name; empty: not set."""
        deployment = self.object("Deployment", service) or {}
        pod = deployment.get("spec", {}).get("template", {}).get("spec", {})
        for container in pod.get("containers", []):
            for variable in container.get("env", []) if container["name"] == service else ():
                if variable["name"] == name:
                    return str(variable.get("value", ""))
        return ""

    def doctor(self, limit: int = 200) -> Report:
        """What the doctor says of the traces since the exercise began."""
        from meshtrail.doctor.examine import examine

        found = self.jaeger.find_any(services=self._services(), start_us=self.since_us, limit=limit)
        return examine(found, now_us=self._place.now_us())

    def _services(self) -> tuple[str, ...] | None:
        return self._place.services(self.jaeger.services())
