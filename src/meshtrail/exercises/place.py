"""Where an exercise takes place: what the local mesh and a cluster both can do for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from meshtrail.exercises.settings import Case, Scene, Target

Object = dict[str, Any]
Say = Callable[[str], None]
Before = Mapping[str, Any]


class Place(Protocol):
    """Addresses and objects are those of the running application; all raise MeshtrailError when there is none.

    `key` names the place in the participant's progress. After `late_s` seconds every span has arrived;
    as a rule one does so within `quiet_s`.
    """

    @property
    def target(self) -> Target: ...
    @property
    def key(self) -> str: ...
    @property
    def environment(self) -> Mapping[str, str]:
        """Variables with which the command line finds this place."""
        ...

    @property
    def application(self) -> str: ...
    @property
    def gateway(self) -> str: ...
    @property
    def host(self) -> str:
        """What requests name in their Host header; empty: the gateway's own address."""
        ...

    @property
    def jaeger(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def late_s(self) -> float: ...
    @property
    def quiet_s(self) -> float: ...

    def now_us(self) -> int:
        """The time of its spans, in microseconds since 1970."""
        ...

    def services(self, known: Sequence[str]) -> tuple[str, ...] | None:
        """Of the services that Jaeger knows those of this application, its gateway with them; None: all."""
        ...

    def objects(self, kind: str) -> list[Object]: ...
    def object(self, kind: str, name: str, namespace: str | None) -> Object | None: ...
    def propagation(self) -> dict[str, str]: ...

    def prepare(self, case: Case, touched: Sequence[str], remember: Callable[[Before], None], say: Say,
                inherited: Before | None) -> None:  # fmt: skip
        """Run the case's application in its form; before the first change `remember` gets what `give_back` needs.

        `touched` are objects outside of the application's namespace that the exercise changes. `inherited` is what the
        exercise before had remembered, when this one is started over it.
        """
        ...

    def lay(self, folder: Path, scene: Scene, say: Say) -> None: ...
    def give_back(self, before: Before, say: Say, *, lasting: bool) -> None:
        """Everything as it was. Not `lasting`: another exercise starts at once, so the application may stay."""
        ...
