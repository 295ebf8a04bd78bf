"""Header blocks: the examples of RFC 7541, appendix C, and what is no header block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtrail.store.grpc.hpack import Decoder, HpackError, encode

_FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
_SECOND = [*_FIRST, (b"cache-control", b"no-cache")]
_THIRD = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
]


@pytest.mark.parametrize(
    "blocks",
    [
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
        (
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ],
    ids=["C.3 plain", "C.4 Huffman"],
)
def test_requests_of_the_rfc(blocks: tuple[str, ...]) -> None:
    decoder = Decoder()
    assert [decoder.decode(bytes.fromhex(block)) for block in blocks] == [_FIRST, _SECOND, _THIRD]


def test_a_block_means_what_the_table_says_now() -> None:
    decoder = Decoder()
    decoder.decode(bytes.fromhex("4003612d6103312d31"))  # a-a: 1-1, index 62
    assert decoder.decode(b"\xbe") == [(b"a-a", b"1-1")]
    assert decoder.decode(b"\xbe") == [(b"a-a", b"1-1")]
    decoder.decode(bytes.fromhex("4003622d6203322d32"))  # b-b: 2-2 moves it on
    assert decoder.decode(b"\xbe") == [(b"b-b", b"2-2")]
    assert decoder.decode(b"\xbf") == [(b"a-a", b"1-1")]
    decoder.decode(b"\x20")  # a table of no size forgets both
    with pytest.raises(HpackError, match="beyond the table"):
        decoder.decode(b"\xbe")


def test_the_table_is_bounded() -> None:
    decoder = Decoder()
    for number in range(1000):
        decoder.decode(b"\x40" + encode([(b"k%05d" % number, b"v" * 100)])[1:])
    assert decoder.decode(b"\xbe") == [(b"k00999", b"v" * 100)]
    with pytest.raises(HpackError, match="beyond the table"):
        decoder.decode(b"\xff\x00")  # index 127: 4096 bytes hold 29 of these entries


@given(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=300)), max_size=10))
def test_what_is_encoded_is_decoded(headers: list[tuple[bytes, bytes]]) -> None:
    assert Decoder().decode(encode(headers)) == headers


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\xff\xff\xff\xff\xff\x0f",  # a huge index
        b"\x40\x0aab",  # a name cut short
        b"\x40",  # nothing after the first byte
        b"\x3f\xe2\x1f",  # a table over the size that was agreed
        b"\x82\x20",  # an update of the size after a header
        b"\x00\x81\x00\x00",  # Huffman: padding of zeros
        b"\x00\x84\xff\xff\xff\xff\x00",  # Huffman: the end symbol
        b"\x40" + encode([(b"a", b"x" * 3000)])[1:] + b"\xbe" * 10,  # a small block that is large when decoded
    ],
)
def test_wrong_blocks_are_refused(block: bytes) -> None:
    with pytest.raises(HpackError):
        Decoder().decode(block)


@given(st.binary(max_size=64))
def test_random_blocks_are_read_or_refused(block: bytes) -> None:
    decoder = Decoder()
    try:
        first = decoder.decode(block)
    except HpackError:
        return
    assert all(isinstance(part, bytes) for field in first for part in field)
