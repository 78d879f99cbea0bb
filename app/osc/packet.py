"""OSC 1.0 packets to and from bytes.

After M. Wright, The Open Sound Control 1.0 Specification (2002): everything is big-endian and padded to four bytes; a
packet is a message or a bundle of packets with one NTP time tag. Reading never raises, whatever the bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_PACKET_BYTES: Final = 65_536
MAX_DEPTH: Final = 8  # of bundles in bundles
IMMEDIATELY: Final = 1  # the time tag that means now
_NTP_TO_UNIX_S: Final = 2_208_988_800
_BUNDLE: Final = b"#bundle\0"
_INT_32: Final = range(-(2**31), 2**31)
_INT_64: Final = range(-(2**63), 2**63)

OscValue = int | float | str | bytes | bool | None


@dataclass(frozen=True, slots=True)
class OscMessage:
    """An address and its arguments. Arrays are flattened; an infinitum is math.inf."""

    address: str
    arguments: tuple[OscValue, ...] = ()


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """`unix_s`: when it is meant, in seconds since 1970; None = now."""

    message: OscMessage
    unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class DecodedPacket:
    """What could be read, and what was wrong with the rest."""

    messages: tuple[TimedMessage, ...]
    fault: str = ""


def encode_message(message: OscMessage) -> bytes:
    """A message's bytes. Raises ValueError for an address that is none, or an integer beyond 64 bits."""
    if not message.address.startswith("/") or "\0" in message.address:
        raise ValueError(f"{message.address!r} is no OSC address")
    tags, content = ",", b""
    for value in message.arguments:
        tag, encoded = _encode_value(value)
        tags += tag
        content += encoded
    return _padded_text(message.address) + _padded_text(tags) + content


def encode_bundle(messages: Iterable[OscMessage], unix_s: float | None = None) -> bytes:
    """Messages meant for one moment; None = now."""
    if unix_s is None:
        tag = IMMEDIATELY
    else:
        whole_s = int(unix_s // 1)
        tag = (whole_s + _NTP_TO_UNIX_S) << 32 | min(round((unix_s - whole_s) * 2**32), 2**32 - 1)
    parts = [encode_message(message) for message in messages]
    return _BUNDLE + struct.pack(">Q", tag) + b"".join(struct.pack(">i", len(part)) + part for part in parts)


def decode_packet(data: bytes) -> DecodedPacket:
    """Read a packet as far as it can be read. Never raises."""
    if len(data) > MAX_PACKET_BYTES:
        return DecodedPacket((), f"{len(data)} bytes where at most {MAX_PACKET_BYTES} belong")
    messages: list[TimedMessage] = []
    try:
        _decode(data, None, 0, messages)
    except _Malformed as fault:
        return DecodedPacket(tuple(messages), str(fault))
    return DecodedPacket(tuple(messages))


class _Malformed(Exception):
    """The bytes are no OSC."""


def _decode(data: bytes, unix_s: float | None, depth: int, messages: list[TimedMessage]) -> None:
    if not data.startswith(_BUNDLE):
        messages.append(TimedMessage(_decode_message(data), unix_s))
        return
    if depth >= MAX_DEPTH:
        raise _Malformed(f"bundles nested deeper than {MAX_DEPTH}")
    tag = _integer(">Q", data, len(_BUNDLE))
    unix_s = None if tag == IMMEDIATELY else (tag >> 32) - _NTP_TO_UNIX_S + (tag & 0xFFFF_FFFF) / 2**32
    place = len(_BUNDLE) + 8
    while place < len(data):
        size = _integer(">i", data, place)
        place += 4
        if size <= 0 or size % 4 or place + size > len(data):
            raise _Malformed(f"a bundle's element of {size} bytes")
        _decode(data[place : place + size], unix_s, depth + 1, messages)
        place += size


def _decode_message(data: bytes) -> OscMessage:
    address, place = _read_text(data, 0)
    if not address.startswith("/"):
        raise _Malformed("no address")
    if place == len(data):  # older senders leave out the tags of no arguments
        return OscMessage(address)
    tags, place = _read_text(data, place)
    if not tags.startswith(","):
        raise _Malformed("no type tags")
    arguments: list[OscValue] = []
    for tag in tags[1:]:
        if tag in "[]":
            continue
        value, place = _read_value(tag, data, place)
        arguments.append(value)
    return OscMessage(address, tuple(arguments))


def _read_value(tag: str, data: bytes, place: int) -> tuple[OscValue, int]:
    if tag in _CONSTANTS:
        return _CONSTANTS[tag], place
    if tag in _NUMBERS:
        form = _NUMBERS[tag]
        return _number(form, data, place), place + struct.calcsize(form)
    if tag in "sS":
        return _read_text(data, place)
    if tag == "c":
        code = _integer(">I", data, place)
        return chr(code) if code < 0x11_0000 else "", place + 4
    if tag == "b":
        size = _integer(">i", data, place)
        start = place + 4
        end = start + size
        if size < 0 or end > len(data):
            raise _Malformed(f"a blob of {size} bytes")
        return data[start:end], min(end + -size % 4, len(data))
    raise _Malformed(f"an argument of unknown type {tag!r}")


def _read_text(data: bytes, place: int) -> tuple[str, int]:
    end = data.find(b"\0", place)
    if end < 0:
        raise _Malformed("a string without an end")
    after = end + 4 - (end - place) % 4
    if after > len(data):
        raise _Malformed("a string without its padding")
    return data[place:end].decode("utf-8", "replace"), after


def _number(form: str, data: bytes, place: int) -> int | float:
    if place + struct.calcsize(form) > len(data):
        raise _Malformed("cut short")
    return struct.unpack_from(form, data, place)[0]


def _integer(form: str, data: bytes, place: int) -> int:
    return int(_number(form, data, place))


def _encode_value(value: OscValue) -> tuple[str, bytes]:
    match value:
        case None:
            return "N", b""
        case bool():
            return ("T" if value else "F"), b""
        case int():
            if value in _INT_32:
                return "i", struct.pack(">i", value)
            if value in _INT_64:
                return "h", struct.pack(">q", value)
            raise ValueError(f"{value} is beyond 64 bits")
        case float():
            largest = float.fromhex("0x1.fffffep+127")
            return "f", struct.pack(">f", min(max(value, -largest), largest))
        case str():
            return "s", _padded_text(value.replace("\0", ""))
        case bytes():
            return "b", struct.pack(">i", len(value)) + value + b"\0" * (-len(value) % 4)


def _padded_text(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    return encoded + b"\0" * (4 - len(encoded) % 4)


_CONSTANTS: Final[dict[str, OscValue]] = {"T": True, "F": False, "N": None, "I": float("inf")}
_NUMBERS: Final = {"i": ">i", "f": ">f", "h": ">q", "d": ">d", "t": ">Q", "r": ">I", "m": ">I"}
