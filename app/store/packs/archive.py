"""The zip format, or as little of it as a pack needs, written and read strictly.

A pack is the file that `write_archive` writes: entries one behind the other from the first byte, then the directory,
then its end record, and nothing else. Reading takes no other arrangement, so entries cannot overlap, hide or repeat,
and what any two programs find in a pack is the same. Nothing is read before its size is known to be bearable.

Record layouts: PKWARE, APPNOTE.TXT 6.3, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.16 (end record).
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from app.store.packs.refusal import PackRefused

MAX_PACK_BYTES: Final = 256 * 2**20
MAX_ENTRIES: Final = 1024
MAX_ENTRY_BYTES: Final = 32 * 2**20
MAX_UNPACKED_BYTES: Final = 320 * 2**20
MAX_RATIO: Final = 100  # of deflated entries; JSON of ours packs 3 to 12 times
_FREE_BYTES: Final = 64 * 1024  # what may come of any few bytes
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_MAX_DIRECTORY_BYTES: Final = MAX_ENTRIES * (_CENTRAL.size + 256)
_STORED, _DEFLATED = 0, 8
_UTF8_FLAG: Final = 1 << 11
_ENCRYPTED_FLAGS: Final = (1 << 0) | (1 << 6) | (1 << 13)
_DOS_FOLDER: Final = 0x10
_VERSION: Final = 20
_DATE_1980: Final = (1 << 5) | 1  # the earliest: the same content is the same file
_CUT_SHORT: Final = "The file is cut short, or is no pack."


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: where its packed bytes lie and what comes of them."""

    raw_name: bytes
    start: int
    packed_bytes: int
    size: int
    crc: int
    is_deflated: bool


def read_directory(file: BinaryIO) -> tuple[Entry, ...]:
    """Every entry, in the order of the file. Raises PackRefused for any other arrangement than ours."""
    total = file.seek(0, os.SEEK_END)
    if total > MAX_PACK_BYTES:
        raise PackRefused("too-large", f"The pack has {total} bytes; {MAX_PACK_BYTES} is the most.")
    if total < _END.size:
        raise PackRefused("cut-short", _CUT_SHORT)
    magic, disk, first_disk, here, count, size, start, comment = _END.unpack(
        _read_at(file, total - _END.size, _END.size)
    )
    if magic != b"PK\5\6":
        raise PackRefused("cut-short", _CUT_SHORT)
    if comment:
        raise PackRefused("comment", "The archive carries a comment.")
    if count > MAX_ENTRIES or size > _MAX_DIRECTORY_BYTES:
        raise PackRefused("too-many-files", f"The pack holds more than {MAX_ENTRIES} files.")
    if disk or first_disk or here != count:
        raise PackRefused("several-disks", "The archive says that it is spread over several disks.")
    if start + size != total - _END.size:
        raise PackRefused("layout", "The archive's directory does not lie where its end record says.")
    entries = _entries(_read_at(file, start, size), count)
    if sum(entry.size for entry, _ in entries) > MAX_UNPACKED_BYTES:
        raise PackRefused("bomb", f"The pack would unpack to more than {MAX_UNPACKED_BYTES} bytes.")
    at = 0
    for entry, fields in entries:
        at = _check_local(file, entry, fields, at, start)
    if at != start:
        raise PackRefused("layout", "Something lies between the files of the archive.")
    return tuple(entry for entry, _ in entries)


def read_entry(file: BinaryIO, entry: Entry) -> bytes:
    """The content of an entry, of exactly the size and checksum it was said to have. Raises PackRefused."""
    packed = _read_at(file, entry.start, entry.packed_bytes)
    content = packed
    if entry.is_deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = inflater.decompress(packed, entry.size + 1)
        except zlib.error as fault:
            raise PackRefused("damaged", f"{_shown(entry)} cannot be unpacked.") from fault
        if not inflater.eof or inflater.unused_data or len(content) != entry.size:
            raise PackRefused("size", f"{_shown(entry)} is not as long as the archive says.")
    if zlib.crc32(content) != entry.crc:
        raise PackRefused("damaged", f"{_shown(entry)} is damaged: its checksum differs.")
    return content


def write_archive(file: BinaryIO, contents: Sequence[tuple[str, bytes]]) -> None:
    """Write (name, content) pairs as an archive that `read_directory` takes. JSON is deflated, the rest is stored."""
    directory: list[bytes] = []
    at = 0
    for name, content in contents:
        raw = name.encode("ascii")
        is_deflated = name.endswith(".json")
        packed = _deflated(content) if is_deflated else content
        method = _DEFLATED if is_deflated else _STORED
        fields = (_VERSION, 0, method, 0, _DATE_1980, zlib.crc32(content), len(packed), len(content), len(raw), 0)
        file.write(_LOCAL.pack(b"PK\3\4", *fields) + raw + packed)
        directory.append(_CENTRAL.pack(b"PK\1\2", _VERSION, *fields, 0, 0, 0, 0, at) + raw)
        at += _LOCAL.size + len(raw) + len(packed)
    size = sum(map(len, directory))
    file.write(b"".join(directory))
    file.write(_END.pack(b"PK\5\6", 0, 0, len(directory), len(directory), size, at, 0))


def _deflated(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def _entries(directory: bytes, count: int) -> list[tuple[Entry, tuple[int, ...]]]:
    """Entries with the ten fields that their local headers must repeat, and nothing left over."""
    entries: list[tuple[Entry, tuple[int, ...]]] = []
    at = 0
    for _ in range(count):
        if len(directory) - at < _CENTRAL.size:
            raise PackRefused("cut-short", _CUT_SHORT)
        magic, _made_by, *rest = _CENTRAL.unpack_from(directory, at)
        fields, (comment_bytes, disk, _internal, external, offset) = tuple(rest[:10]), rest[10:]
        name_bytes, extra_bytes = fields[8:]
        raw_name = directory[at + _CENTRAL.size : at + _CENTRAL.size + name_bytes]
        if magic != b"PK\1\2" or len(raw_name) != name_bytes:
            raise PackRefused("layout", "The archive's directory is not one.")
        if extra_bytes or comment_bytes:
            raise PackRefused("extra-fields", f"{raw_name[:60]!r} carries extra fields or a comment.")
        if disk:
            raise PackRefused("several-disks", "The archive says that it is spread over several disks.")
        _check_type(raw_name, external)
        entries.append((_entry(raw_name, fields, offset), fields))
        at += _CENTRAL.size + name_bytes
    if at != len(directory):
        raise PackRefused("layout", "The archive's directory is longer than its files.")
    return entries


def _check_type(raw_name: bytes, external: int) -> None:
    """Only plain files: no links, folders, devices."""
    kind = stat.S_IFMT(external >> 16)
    if kind == stat.S_IFLNK:
        raise PackRefused("link", f"{raw_name[:60]!r} is a link.")
    if kind == stat.S_IFDIR or external & _DOS_FOLDER:
        raise PackRefused("folder", f"{raw_name[:60]!r} is a folder, and packs hold files only.")
    if kind not in (0, stat.S_IFREG):
        raise PackRefused("special-file", f"{raw_name[:60]!r} is neither a file nor a link.")


def _entry(raw_name: bytes, fields: tuple[int, ...], offset: int) -> Entry:
    _version, flags, method, _time, _date, crc, packed_bytes, size, name_bytes, _extra = fields
    name = f"{raw_name[:60]!r}"
    if flags & _ENCRYPTED_FLAGS:
        raise PackRefused("encrypted", f"{name} is encrypted.")
    if flags & ~_UTF8_FLAG:
        raise PackRefused("flags", f"{name} is stored in a way that packs do not use.")
    if method not in (_STORED, _DEFLATED):
        raise PackRefused("method", f"{name} is packed in a way that packs do not use.")
    if size > MAX_ENTRY_BYTES:
        raise PackRefused("file-too-large", f"{name} would have {size} bytes; {MAX_ENTRY_BYTES} is the most.")
    if method == _STORED and packed_bytes != size:
        raise PackRefused("size", f"{name} is not as long as the archive says.")
    if size > _FREE_BYTES and size > MAX_RATIO * packed_bytes:
        raise PackRefused("bomb", f"{name} would grow {size // max(packed_bytes, 1)} times.")
    return Entry(raw_name, offset + _LOCAL.size + name_bytes, packed_bytes, size, crc, method == _DEFLATED)


def _check_local(file: BinaryIO, entry: Entry, fields: tuple[int, ...], at: int, directory_start: int) -> int:
    """The local header lies at `at` and repeats the directory's. -> where the next one must begin"""
    end = entry.start + entry.packed_bytes
    if entry.start - _LOCAL.size - len(entry.raw_name) != at:
        raise PackRefused("overlap", f"{_shown(entry)} overlaps another file or lies apart.")
    if end > directory_start:
        raise PackRefused("overlap", f"{_shown(entry)} reaches into the archive's directory.")
    header = _read_at(file, at, _LOCAL.size + len(entry.raw_name))
    magic, *local = _LOCAL.unpack_from(header)
    if magic != b"PK\3\4" or tuple(local) != fields or header[_LOCAL.size :] != entry.raw_name:
        raise PackRefused("two-headers", f"{_shown(entry)} is described in two different ways.")
    return end


def _read_at(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    content = file.read(size)
    if len(content) != size:
        raise PackRefused("cut-short", _CUT_SHORT)
    return content


def _shown(entry: Entry) -> str:
    return f"{entry.raw_name[:60]!r}"
