"""Reading typed fields out of documents, every mistake noted with file, line, object and field.

A `Message` names the fields of one object type in four classes: carried out, inert on a laptop, known but not carried
out, and everything else, which is a typing error. `Fields` reads a mapping by such a message; a mistake becomes a
`Problem` and reading goes on with a default, so that a person sees all mistakes at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshtrail.errors import Problem, Warnings
from meshtrail.manifests.document import List, Map, Mark

LENIENT_MEND = "remove it, or go on without it: --lenient"


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of one object type. `refused` maps a field to its mend ("" for the general one)."""

    name: str
    carried: frozenset[str]
    inert: frozenset[str]
    refused: Mapping[str, str]

    @property
    def known(self) -> list[str]:
        return [*sorted(self.carried), *sorted(self.inert), *sorted(self.refused)]


MESSAGES: dict[str, Message] = {}


def message(name: str, carried: str = "", *, inert: str = "", refused: str | Mapping[str, str] = "") -> Message:
    """Declare the fields of an object type, names separated by blanks. Every message shows in docs/manifests.md."""
    mends = dict.fromkeys(refused.split(), "") if isinstance(refused, str) else dict(refused)
    made = Message(name, frozenset(carried.split()), frozenset(inert.split()), mends)
    MESSAGES[name] = made
    return made


@dataclass(slots=True)
class Scope:
    """One object being read: what it is called, and where its findings go."""

    object: str
    problems: list[Problem]
    warnings: Warnings
    lenient: bool = False

    def error(self, message: str, mark: Mark, path: str = "", mend: str = "") -> None:
        self.problems.append(Problem(message, mark.file, mark.line, self.object, path, mend))

    def warn(self, message: str, mark: Mark, path: str = "", mend: str = "") -> None:
        self.warnings.add(Problem(message, mark.file, mark.line, self.object, path, mend))

    def not_carried_out(self, mark: Mark, path: str, mend: str = "", what: str = "") -> None:
        """Known to Kubernetes or Istio, without effect here: an error, or a warning when lenient."""
        text = f"{what or 'this field'} is not carried out by the local mesh"
        if self.lenient:
            self.warn(f"{text}, ignored", mark, path)
        else:
            self.error(text, mark, path, mend or LENIENT_MEND)


def closest(name: str, known: Sequence[str]) -> str:
    """The known name a typing error most likely meant, or ""."""
    lower = {other.lower().replace("_", ""): other for other in known}
    found = difflib.get_close_matches(name.lower().replace("_", ""), list(lower), n=1, cutoff=0.6)
    return lower[found[0]] if found else ""


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+\Z", re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)", re.ASCII)


def duration_seconds(text: str) -> float | None:
    """A Go duration ("1.5s", "500ms", "1m30s") in seconds; None if it is not one."""
    if not _DURATION.match(text) or len(text) > 40:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION_PART.findall(text))


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {shorten(value)!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


@dataclass(slots=True)
class Value:
    """One value with its path and place."""

    scope: Scope
    raw: Any
    path: str
    mark: Mark

    def error(self, text: str, mend: str = "") -> None:
        self.scope.error(text, self.mark, self.path, mend)

    def wrong(self, wanted: str, mend: str = "") -> None:
        self.error(f"must be {wanted}, not {kind_of(self.raw)}", mend)

    def fields(self, of: Message) -> Fields:
        return Fields(self, of)

    def text(self, *, choices: Sequence[str] = (), default: str = "") -> str:
        if not isinstance(self.raw, str):
            quoted = isinstance(self.raw, bool | int | float)
            self.wrong("a string", "put it in quotes" if quoted else "")
            return default
        if choices and self.raw not in choices:
            near = closest(self.raw, choices)
            self.error(
                f"{shorten(self.raw)!r} is not one of {', '.join(choices)}", f"did you mean {near!r}?" if near else ""
            )
            return default
        return self.raw

    def integer(self, minimum: int | None = None, maximum: int | None = None, *, default: int = 0) -> int:
        whole = isinstance(self.raw, float) and self.raw.is_integer()
        if isinstance(self.raw, bool) or not (isinstance(self.raw, int) or whole):
            self.wrong("a whole number")
            return default
        number = int(self.raw)
        if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
            self.error(f"{number} is out of range, allowed: {span(minimum, maximum)}")
            return default
        return number

    def number(self, minimum: float | None = None, maximum: float | None = None, *, default: float = 0.0) -> float:
        if isinstance(self.raw, bool) or not isinstance(self.raw, int | float):
            self.wrong("a number")
            return default
        if (minimum is not None and self.raw < minimum) or (maximum is not None and self.raw > maximum):
            self.error(f"{self.raw} is out of range, allowed: {span(minimum, maximum)}")
            return default
        return float(self.raw)

    def boolean(self, *, default: bool = False) -> bool:
        if not isinstance(self.raw, bool):
            self.wrong("true or false")
            return default
        return self.raw

    def duration(self, *, default: float = 0.0, minimum: float = 0.001) -> float:
        """Seconds. Istio refuses a duration below 1 ms."""
        if not isinstance(self.raw, str):
            self.wrong('a duration such as "1.5s", "500ms" or "1m"')
            return default
        seconds = duration_seconds(self.raw)
        if seconds is None:
            self.error(f'{shorten(self.raw)!r} is not a duration, write "1.5s", "500ms" or "1m"')
            return default
        if seconds < minimum:
            self.error(f"{self.raw} is too short, at least {minimum * 1000:g}ms")
            return default
        return seconds

    def items(self) -> list[Value]:
        if not isinstance(self.raw, list):
            self.wrong("a list")
            return []
        own = self.raw.mark if isinstance(self.raw, List) else self.mark
        return [
            Value(self.scope, item, f"{self.path}[{i}]", item.mark if isinstance(item, Map | List) else own)
            for i, item in enumerate(self.raw)
        ]

    def entries(self) -> list[tuple[str, Value]]:
        """The entries of a free mapping (labels, header names)."""
        if not isinstance(self.raw, Map):
            self.wrong("a mapping")
            return []
        return [
            (key, Value(self.scope, item, f"{self.path}.{key}", self.raw.where(key))) for key, item in self.raw.items()
        ]


def span(minimum: float | None, maximum: float | None) -> str:
    if maximum is None:
        return f"{minimum} or more"
    return f"{minimum} to {maximum}" if minimum is not None else f"up to {maximum}"


@dataclass(slots=True)
class Fields:
    """Typed access to the fields of one mapping. Creating it reports every field that is not carried out or unknown.

    A field that is `null` counts as absent, as in Kubernetes. Readers return the default after a mistake.
    """

    value: Value
    message: Message
    raw: Map = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.value.raw, Map):
            self.raw = self.value.raw
            self._check()
        else:
            self.value.wrong("a mapping")
            self.raw = Map(self.value.mark)

    def _check(self) -> None:
        of = self.message
        for name, item in self.raw.items():
            if name in of.carried or name in of.inert:
                continue
            mark, path = self.raw.where(name), self._path(name)
            if name in of.refused:
                if item is not None:
                    self.value.scope.not_carried_out(mark, path, of.refused[name])
                continue
            near = closest(name, of.known)
            mend = f"did you mean {near!r}?" if near else f"known here: {', '.join(sorted(of.carried | of.inert))}"
            self.value.scope.error(f"unknown field {shorten(name)!r}", mark, path, mend)

    def _path(self, name: str) -> str:
        return f"{self.value.path}.{name}" if self.value.path else name

    def __contains__(self, name: str) -> bool:
        return self.raw.get(name) is not None

    def get(self, name: str) -> Value | None:
        if name not in self.message.carried:
            raise AssertionError(f"{self.message.name}.{name} is read but not declared as carried out")
        item = self.raw.get(name)
        if item is None:
            return None
        return Value(self.value.scope, item, self._path(name), self.raw.where(name))

    def need(self, name: str) -> Value | None:
        """As `get`; absence is a mistake."""
        found = self.get(name)
        if found is None:
            self.value.scope.error("is required", self.value.mark, self._path(name))
        return found

    def error(self, text: str, name: str = "", mend: str = "") -> None:
        path = self._path(name) if name else self.value.path
        self.value.scope.error(text, self.raw.where(name), path, mend)

    def not_carried_out(self, name: str, mend: str = "", what: str = "") -> None:
        self.value.scope.not_carried_out(self.raw.where(name), self._path(name), mend, what)

    def exactly_one(self, *names: str, required: bool = True) -> None:
        """A mistake when more than one (or, if `required`, none) of the fields is there."""
        there = [name for name in names if self.raw.get(name) is not None]
        if len(there) > 1:
            self.error(f"only one of {', '.join(there)} may be given", there[1])
        elif not there and required:
            self.error(f"needs one of {', '.join(names)}")

    def text(self, name: str, default: str = "", *, required: bool = False, choices: Sequence[str] = ()) -> str:
        found = self.need(name) if required else self.get(name)
        return found.text(choices=choices, default=default) if found else default

    def integer(
        self, name: str, minimum: int | None = None, maximum: int | None = None, *, default: int = 0,
        required: bool = False,
    ) -> int:  # fmt: skip
        found = self.need(name) if required else self.get(name)
        return found.integer(minimum, maximum, default=default) if found else default

    def maybe_integer(self, name: str, minimum: int | None = None, maximum: int | None = None) -> int | None:
        found = self.get(name)
        return found.integer(minimum, maximum) if found else None

    def maybe_boolean(self, name: str) -> bool | None:
        found = self.get(name)
        return found.boolean() if found else None

    def boolean(self, name: str, *, default: bool = False) -> bool:
        found = self.get(name)
        return found.boolean(default=default) if found else default

    def maybe_duration(self, name: str, *, minimum: float = 0.001) -> float | None:
        found = self.get(name)
        return found.duration(minimum=minimum) if found else None

    def fields(self, name: str, of: Message, *, required: bool = False) -> Fields | None:
        found = self.need(name) if required else self.get(name)
        return Fields(found, of) if found else None

    def items(self, name: str, *, required: bool = False) -> list[Value]:
        """The items of a list; with `required` an empty list is a mistake too."""
        found = self.need(name) if required else self.get(name)
        if found is None:
            return []
        if required and found.raw == []:
            found.error("must not be empty")
        return found.items()

    def all_fields(self, name: str, of: Message, *, required: bool = False) -> list[Fields]:
        """A list of mappings."""
        return [Fields(item, of) for item in self.items(name, required=required)]

    def strings(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(item.text() for item in self.items(name, required=required))

    def labels(self, name: str, *, required: bool = False) -> dict[str, str]:
        """A free mapping from string to string."""
        found = self.need(name) if required else self.get(name)
        return {key: item.text() for key, item in found.entries()} if found else {}
