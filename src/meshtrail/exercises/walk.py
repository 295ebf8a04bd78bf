"""An exercise from start to reset by its page's own commands: what a rehearsal and the tests do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meshtrail.exercises import engine
from meshtrail.exercises.blocks import Ran, run
from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.pages import Block
from meshtrail.exercises.phrases import Phrases
from meshtrail.exercises.place import Place, Say
from meshtrail.exercises.said import Said
from meshtrail.exercises.words import sentence

HEARD_WITHIN_S = 30.0
"""Longer than a check takes: on a busy machine spans, roll-outs and the proxies' configuration are late."""


@dataclass(slots=True)
class Walked:
    """`seconds` by part (start, steps, wrong turns, solve, green, reset); `green` is from the solution's end to the
    check that found everything done. `problems` are sentences; empty: all went as the page says."""

    seconds: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - started


@dataclass(frozen=True, slots=True)
class Walk:
    """One case of an exercise at a place."""

    exercise: Exercise
    case: str
    place: Place
    root: Path
    phrases: Phrases
    say: Say
    environment: Mapping[str, str] = field(default_factory=dict)

    def go(self, *, wrong_turns: bool) -> Walked:
        """Raises MeshtrailError when the place cannot do what is needed; what the page gets wrong is in `problems`."""
        walked = Walked()
        self._start(walked)
        before = self._check()
        if engine.solved(before):
            walked.problems.append("the check is satisfied before anything was done")
        self._steps(walked)
        if wrong_turns:
            for block in self._blocks("wrong"):
                with walked.timed("wrong turns"):
                    self._wrong_turn(block, walked)
                if changes_something(block):
                    self._start(walked)
                    self._steps(walked)
        with walked.timed("solve"):
            for ran in engine.solve(
                self.exercise, self.place, language=self.phrases.language, root=self.root,
                environment=dict(self.environment),
            ):  # fmt: skip
                self._judge(ran, walked)
        with walked.timed("green"):
            self._until_green(walked)
        with walked.timed("reset"):
            engine.reset(self.place, say=self.say)
        return walked

    def _start(self, walked: Walked) -> None:
        with walked.timed("start"):
            engine.start(self.exercise, self.case, self.place, say=self.say, phrases=self.phrases)

    def _steps(self, walked: Walked) -> None:
        with walked.timed("steps"):
            for block in self._blocks("step"):
                self._run(block, walked)

    def _wrong_turn(self, block: Block, walked: Walked) -> None:
        self._run(block, walked)
        # The proxies of a cluster hear of it a moment later.
        deadline = time.monotonic() + HEARD_WITHIN_S
        while True:
            said = self._check()
            if block.code in [one.code for one in said if one.state != "done"]:
                return
            if time.monotonic() > deadline:
                break
        walked.problems.append(
            f"line {block.line}: after this wrong turn the check does not say `{block.code}`: {self._told(said)}"
        )

    def _until_green(self, walked: Walked) -> None:
        deadline = time.monotonic() + HEARD_WITHIN_S
        while True:
            said = self._check()
            if engine.solved(said):
                return
            if time.monotonic() > deadline:
                walked.problems.append(f"the check is not satisfied after the solution: {self._told(said)}")
                return

    def _check(self) -> tuple[Said, ...]:
        return engine.check(self.exercise, self.place, language=self.phrases.language, answer=None)

    def _told(self, said: tuple[Said, ...]) -> str:
        language = self.phrases.language
        return "; ".join(f"{one.state} {sentence(self.exercise.words, one, language)[0]} ({one.code})" for one in said)

    def _blocks(self, role: str) -> tuple[Block, ...]:
        page = self.exercise.page(self.phrases.language)
        return tuple(block for block in page.blocks if block.role == role and block.holds(self.place.target, self.case))

    def _run(self, block: Block, walked: Walked) -> None:
        environment = {**self.environment, **self.place.environment}
        self._judge(run(block, root=self.root, environment=environment), walked)

    def _judge(self, ran: Ran, walked: Walked) -> None:
        if not ran.ok:
            walked.problems.append(
                f"line {ran.block.line}: ended with {ran.status}, not {ran.block.exit}: "
                f"{ran.block.commands.strip()}\n{ran.output[-1500:].strip()}"
            )


def changes_something(block: Block) -> bool:
    """A wrong answer leaves nothing behind that the right one would not replace."""
    lines = [line for line in block.commands.splitlines() if line.strip()]
    return not all(line.startswith("meshtrail exercise check ") for line in lines)
