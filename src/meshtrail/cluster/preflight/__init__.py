"""What must be there for whole traces, checked in the order in which it is needed.

A rule is a pure function of a snapshot to findings: what was seen, and the command that mends it.
"""
