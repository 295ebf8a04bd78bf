"""What a check says of one thing that it looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["done", "missing", "wrong"]


@dataclass(frozen=True, slots=True)
class Said:
    """`code` names the sentence in the exercise's words.yaml, `values` what its placeholders stand for.

    `done`: it is as it shall be; `missing`: not yet there; `wrong`: there, and leading elsewhere.
    """

    code: str
    state: State
    values: Mapping[str, object]


def done(code: str, **values: object) -> Said:
    return Said(code, "done", values)


def missing(code: str, **values: object) -> Said:
    return Said(code, "missing", values)


def wrong(code: str, **values: object) -> Said:
    return Said(code, "wrong", values)
