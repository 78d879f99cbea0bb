"""Previews and pictures of a pack, looked at without decoding them into memory.

FLAC: RFC 9639, sections 8 (metadata blocks) and 9 (frames). PNG: W3C PNG (Third Edition), sections 5 and 11.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from app.store.packs.refusal import PackRefused

MAX_PREVIEW_S: Final = 30.0
MAX_PICTURE_PX: Final = 2048
_RATES_HZ: Final = frozenset((8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000))
_STREAM_INFO, _PADDING, _SEEK_TABLE, _COMMENT = 0, 1, 3, 4
_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS: Final = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"sBIT")
)
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of PNG's colour types
_PIECE_BYTES: Final = 1 << 16


def check_flac(content: bytes, name: str) -> float:
    """A FLAC file of bearable length -> seconds. Raises PackRefused."""
    if content[:4] != b"fLaC":
        raise PackRefused("not-flac", f"{name} is no FLAC file.")
    at, is_last, seconds = 4, False, None
    while not is_last:
        if len(content) - at < 4:
            raise PackRefused("not-flac", f"{name} is cut short.")
        is_last, kind = bool(content[at] & 0x80), content[at] & 0x7F
        length = int.from_bytes(content[at + 1 : at + 4], "big")
        block = content[at + 4 : at + 4 + length]
        if len(block) != length or (seconds is None) != (kind == _STREAM_INFO):
            raise PackRefused("not-flac", f"{name} is cut short or not in order.")
        if kind == _STREAM_INFO:
            seconds = _stream_seconds(block, name)
        elif kind not in (_PADDING, _SEEK_TABLE, _COMMENT):
            raise PackRefused("media-extra", f"{name} carries something beside its sound.")
        at += 4 + length
    # Every frame begins with 14 bits sync code and a zero.
    if len(content) - at < 8 or content[at] != 0xFF or content[at + 1] & 0xFE != 0xF8:
        raise PackRefused("not-flac", f"{name} holds no sound.")
    assert seconds is not None
    return seconds


def _stream_seconds(block: bytes, name: str) -> float:
    if len(block) != 34:
        raise PackRefused("not-flac", f"{name} does not say what it is.")
    packed = int.from_bytes(block[10:18], "big")  # 20 bits rate, 3 channels - 1, 5 depth - 1, 36 samples
    rate_hz, channels = packed >> 44, ((packed >> 41) & 7) + 1
    n_samples = packed & ((1 << 36) - 1)
    if rate_hz not in _RATES_HZ or channels > 2:
        raise PackRefused("media-size", f"{name} is sampled at {rate_hz} Hz in {channels} channels.")
    if not 0 < n_samples <= MAX_PREVIEW_S * rate_hz:
        raise PackRefused("media-size", f"{name} does not last from 0 to {MAX_PREVIEW_S:g} seconds.")
    return n_samples / rate_hz


def check_png(content: bytes, name: str) -> tuple[int, int]:
    """A PNG file of bearable size, with nothing beside its picture -> (width, height). Raises PackRefused."""
    if content[:8] != _PNG_MAGIC:
        raise PackRefused("not-png", f"{name} is no PNG file.")
    at, shape, is_over = 8, (0, 0, 0), False
    inflater, n_raw = zlib.decompressobj(), 0
    while not is_over:
        if is_over or len(content) - at < 12:
            raise PackRefused("not-png", f"{name} is cut short.")
        length, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + length]
        if len(content) - at - 12 < length:
            raise PackRefused("not-png", f"{name} is cut short.")
        if zlib.crc32(content[at + 4 : at + 8 + length]) != int.from_bytes(content[at + 8 + length :][:4], "big"):
            raise PackRefused("not-png", f"{name} is damaged.")
        if kind not in _PNG_CHUNKS:
            raise PackRefused("media-extra", f"{name} carries something beside its picture.")
        if (at == 8) != (kind == b"IHDR"):
            raise PackRefused("not-png", f"{name} is not in order.")
        if kind == b"IHDR":
            shape = _png_shape(body, name)
        elif kind == b"IDAT":
            n_raw += _inflated_bytes(inflater, body, _raw_bytes(shape) - n_raw, name)
        is_over = kind == b"IEND"
        at += 12 + length
    if at != len(content):
        raise PackRefused("media-extra", f"{name} goes on after its end.")
    if n_raw != _raw_bytes(shape) or not inflater.eof:
        raise PackRefused("not-png", f"{name} holds another picture than it says.")
    return shape[0], shape[1]


def _png_shape(body: bytes, name: str) -> tuple[int, int, int]:
    """(width, height, bytes a pixel)."""
    if len(body) != 13:
        raise PackRefused("not-png", f"{name} does not say what it is.")
    width, height, depth, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if not (0 < width <= MAX_PICTURE_PX and 0 < height <= MAX_PICTURE_PX):
        raise PackRefused("media-size", f"{name} is {width} by {height} pixels large.")
    if depth != 8 or colour not in _CHANNELS or packing or filtering or interlace:
        raise PackRefused("media-size", f"{name} is a kind of picture that packs do not use.")
    return width, height, _CHANNELS[colour]


def _raw_bytes(shape: tuple[int, int, int]) -> int:
    """Unpacked, with the filter byte before each row."""
    width, height, channels = shape
    return height * (1 + width * channels)


def _inflated_bytes(inflater: zlib._Decompress, body: bytes, room: int, name: str) -> int:
    """How much `body` unpacks to, a piece at a time and kept nowhere. Raises PackRefused beyond `room`."""
    done = 0
    try:
        while body:
            done += len(inflater.decompress(body, _PIECE_BYTES))
            if done > room:
                raise PackRefused("bomb", f"{name} would unpack to more than its picture.")
            if inflater.unused_data:
                raise PackRefused("media-extra", f"{name} goes on after its end.")
            body = inflater.unconsumed_tail
    except zlib.error as fault:
        raise PackRefused("not-png", f"{name} is damaged.") from fault
    return done
