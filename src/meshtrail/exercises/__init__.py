"""Exercises that check themselves: what a `check_NN.py` needs.

A check is `def check(room: Room) -> Iterator[Said]`; see exercises/README.md.
"""

from meshtrail.exercises.room import Room
from meshtrail.exercises.said import Said, done, missing, wrong
from meshtrail.exercises.sending import Answer

__all__ = ["Answer", "Room", "Said", "done", "missing", "wrong"]
