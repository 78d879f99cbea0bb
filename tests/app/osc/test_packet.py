"""OSC packets: there and back, and nothing raises."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.osc.packet import (
    MAX_DEPTH,
    MAX_PACKET_BYTES,
    OscMessage,
    OscValue,
    TimedMessage,
    decode_packet,
    encode_bundle,
    encode_message,
)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12),
    st.binary(max_size=12),
)
messages = st.builds(
    OscMessage,
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(lambda text: f"/{text}"),
    st.lists(values, max_size=6).map(tuple),
)


def test_the_specifications_own_bytes() -> None:
    """The examples of the OSC 1.0 specification."""
    assert encode_message(OscMessage("/oscillator/4/frequency", (440.0,))) == (
        b"/oscillator/4/frequency\0,f\0\0" + bytes.fromhex("43dc0000")
    )
    data = b"/foo\0\0\0\0,iisff\0\0" + bytes.fromhex("000003e8ffffffff") + b"hello\0\0\0"
    data += bytes.fromhex("3f9df3b640b5b22d")
    (read,) = decode_packet(data).messages
    assert read.message.address == "/foo"
    assert read.message.arguments == pytest.approx((1000, -1, "hello", 1.234, 5.678))
    assert encode_message(read.message) == data


@given(messages)
def test_messages_come_back(message: OscMessage) -> None:
    data = encode_message(message)
    assert len(data) % 4 == 0
    assert decode_packet(data).messages == (TimedMessage(message),)


@given(st.lists(messages, max_size=4), st.one_of(st.none(), st.floats(0, 2e9)))
def test_bundles_come_back(inside: list[OscMessage], unix_s: float | None) -> None:
    decoded = decode_packet(encode_bundle(inside, unix_s))
    assert [timed.message for timed in decoded.messages] == inside
    for timed in decoded.messages:
        assert timed.unix_s == (None if unix_s is None else pytest.approx(unix_s, abs=1e-6))


@given(st.binary(max_size=120), st.booleans())
def test_hostile_bytes_are_only_a_fault(data: bytes, is_bundle: bool) -> None:
    decoded = decode_packet(b"#bundle\0" + data if is_bundle else data)
    assert decoded.fault or decoded.messages or is_bundle


@given(messages, st.integers(0, 200), st.integers(0, 255))
def test_broken_messages_are_only_a_fault(message: OscMessage, place: int, byte: int) -> None:
    data = bytearray(encode_message(message))
    data[place % len(data)] = byte
    decode_packet(bytes(data))
    decode_packet(bytes(data[: place % len(data)]))


def nested(depth: int) -> bytes:
    data = encode_message(OscMessage("/a"))
    for _ in range(depth):
        data = b"#bundle\0" + struct.pack(">Qi", 1, len(data)) + data
    return data


def test_bombs_are_refused() -> None:
    assert decode_packet(nested(MAX_DEPTH)).messages
    assert "nested" in decode_packet(nested(MAX_DEPTH + 1)).fault
    assert decode_packet(b"/a\0\0" * MAX_PACKET_BYTES).fault
    assert decode_packet(b"/a\0\0,b\0\0\x7f\xff\xff\xff").fault
    assert decode_packet(b"/a\0\0,q\0\0").fault
    assert decode_packet(b"#bundle\0" + struct.pack(">Qi", 1, -4)).fault


def test_what_was_whole_before_the_break_is_kept() -> None:
    decoded = decode_packet(encode_bundle([OscMessage("/a"), OscMessage("/b")]) + b"\0\0\0\x08junk")
    assert [timed.message.address for timed in decoded.messages] == ["/a", "/b"]
    assert decoded.fault


def test_rarer_arguments() -> None:
    data = b"/a\0\0,[cTI]rm\0\0\0\0" + struct.pack(">III", ord("x"), 7, 8)
    assert decode_packet(data).messages[0].message.arguments == ("x", True, float("inf"), 7, 8)
    assert decode_packet(b"/a\0\0").messages[0].message == OscMessage("/a")


@pytest.mark.parametrize(("address", "value"), [("a", 1), ("/a\0b", 1), ("/a", 2**63)])
def test_what_cannot_be_sent(address: str, value: OscValue) -> None:
    with pytest.raises(ValueError):
        encode_message(OscMessage(address, (value,)))
