"""The encoded spans inside an encoded request, without encoding them a second time.

A request is kept as it came, cut at the borders of its spans. This walks three levels of protobuf tags; protobuf itself
has already checked the same bytes, and says how many spans there must be.
"""

from __future__ import annotations

_SPANS_IN_SCOPE = 0x12  # field 2, length-delimited; the same in all three messages below
_FIRST = 0x0A  # field 1, length-delimited


def span_slices(data: bytes) -> list[list[list[bytes]]]:
    """The bytes of every span, by resource and scope. Raises ValueError or IndexError on what no encoder writes."""
    return [
        [
            [data[start:end] for start, end in _children(data, *scope, _SPANS_IN_SCOPE)]
            for scope in _children(data, *resource, _SPANS_IN_SCOPE)
        ]
        for resource in _children(data, 0, len(data), _FIRST)
    ]


def _children(data: bytes, at: int, end: int, wanted: int) -> list[tuple[int, int]]:
    """Start and end of each field with the tag `wanted` in the message at data[at:end]."""
    found = []
    while at < end:
        tag = data[at]
        at += 1
        if tag > 0x7F:
            tag, at = _varint(data, at - 1)
        kind = tag & 7
        if kind == 2:
            size = data[at]
            at += 1
            if size > 0x7F:
                size, at = _varint(data, at - 1)
            start, at = at, at + size
            if tag == wanted:
                found.append((start, at))
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        else:
            raise ValueError("a group")
    if at != end:
        raise ValueError("a field ends outside its message")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
