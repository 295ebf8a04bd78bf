"""Reading and writing header blocks (RFC 7541).

The decoder keeps the dynamic table that the peer fills. The encoder uses none: a server of one method has few answers.
"""

from __future__ import annotations

from collections import deque

from meshtrail.store.grpc.hpack_tables import HUFFMAN, STATIC_TABLE

_TABLE_BYTES = 4096  # the default of SETTINGS_HEADER_TABLE_SIZE, which is not changed here
_ENTRY_OVERHEAD = 32
_LIST_BYTES = 16 * 1024  # of all headers of one request, decoded
_CACHED_BLOCKS = 64

Headers = list[tuple[bytes, bytes]]


class HpackError(Exception):
    """A header block that cannot be read; the connection is over, as its table is no longer the peer's."""


class Decoder:
    def __init__(self) -> None:
        self._table: deque[tuple[bytes, bytes]] = deque()
        self._size = 0
        self._max_size = _TABLE_BYTES
        # A client that repeats itself sends the same few bytes each time; they mean the same until the table changes.
        self._cache: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """The headers in their order. Raises HpackError."""
        known = self._cache.get(block)
        if known is not None:
            return known
        try:
            headers, changed = self._decode(block)
        except IndexError:
            raise HpackError("a header block is cut short") from None
        if changed:
            self._cache.clear()
        elif len(self._cache) < _CACHED_BLOCKS:
            self._cache[block] = headers
        return headers

    def _decode(self, block: bytes) -> tuple[Headers, bool]:
        headers: Headers = []
        changed = False
        at = total = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:  # indexed
                index, at = _integer(block, at, 7)
                field = self._field(index)
            elif first & 0xE0 == 0x20:  # size of the dynamic table
                size, at = _integer(block, at, 5)
                if size > _TABLE_BYTES or headers:
                    raise HpackError("a wrong update of the table size")
                self._max_size = size
                self._evict()
                changed = True
                continue
            else:
                indexing = first & 0x40
                index, at = _integer(block, at, 6 if indexing else 4)
                if index:
                    name = self._field(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                field = (name, value)
                if indexing:
                    self._add(field)
                    changed = True
            total += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
            if total > _LIST_BYTES:
                raise HpackError(f"more than {_LIST_BYTES} bytes of headers")
            headers.append(field)
        return headers, changed

    def _field(self, index: int) -> tuple[bytes, bytes]:
        if 0 < index <= len(STATIC_TABLE):
            return STATIC_TABLE[index - 1]
        if not 0 < index - len(STATIC_TABLE) <= len(self._table):
            raise HpackError("an index beyond the table")
        return self._table[index - len(STATIC_TABLE) - 1]

    def _add(self, field: tuple[bytes, bytes]) -> None:
        self._table.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        self._evict()

    def _evict(self) -> None:
        while self._size > self._max_size:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY_OVERHEAD


def encode(headers: Headers) -> bytes:
    """A header block that touches no table and compresses nothing."""
    parts = []
    for name, value in headers:
        parts += [b"\0", _length(len(name)), name, _length(len(value)), value]
    return b"".join(parts)


def _length(size: int) -> bytes:
    if size < 0x7F:
        return bytes((size,))
    size -= 0x7F
    out = bytearray(b"\x7f")
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    mask = (1 << bits) - 1
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 28:
            raise HpackError("an integer without end")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    coded = block[at] & 0x80
    size, at = _integer(block, at, 7)
    end = at + size
    if end > len(block):
        raise HpackError("a string is cut short")
    text = block[at:end]
    return (_unhuffman(text) if coded else text), end


def _unhuffman(text: bytes) -> bytes:
    out = bytearray()
    code = bits = 0
    for byte in text:
        for shift in (7, 6, 5, 4, 3, 2, 1, 0):
            code = code << 1 | (byte >> shift & 1)
            bits += 1
            if bits >= 5:
                symbol = HUFFMAN.get((bits, code))
                if symbol is not None:
                    out.append(symbol)
                    code = bits = 0
                elif bits > 30:
                    raise HpackError("a wrong Huffman code")
    if bits > 7 or code != (1 << bits) - 1:
        raise HpackError("wrong padding of a Huffman code")
    return bytes(out)
