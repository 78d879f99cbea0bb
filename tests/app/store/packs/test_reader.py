"""Packs that are as they should be, and every way we know in which they are not."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from app.store.packs.archive import MAX_ENTRIES, MAX_PACK_BYTES
from app.store.packs.manifest import File, Manifest, format_manifest, parse_manifest
from app.store.packs.names import check_names
from app.store.packs.reader import PackReader
from app.store.packs.refusal import PackRefused, one_line
from app.store.packs.signing import public_key_of
from tests.app.store.packs import forge
from tests.app.store.packs.judging import read, refused


def test_a_good_pack_is_read_whole() -> None:
    pack = read(forge.good_pack())
    assert pack.manifest.author == "Ann Singer"
    assert list(pack.presets) == ["orc_growl", "orc_sigh"]
    assert pack.presets["orc_growl"] == forge.contents().presets[0]
    assert pack.adapters[forge.ADAPTER_ID].base_hash == forge.BASE_HASH
    assert pack.gestures["call"].duration_s == 2.0
    assert pack.previews_s["orc_growl"] == pytest.approx(0.1)
    assert pack.texts["readme"].text.endswith("Line two.")
    assert pack.signer == public_key_of(forge.KEY)
    assert pack.missing_adapters == ()
    assert read(forge.good_pack(None)).signer is None
    assert forge.good_pack() == forge.good_pack(), "the same content is the same file"


def test_a_pack_is_a_zip_that_other_programs_open() -> None:
    with zipfile.ZipFile(io.BytesIO(forge.good_pack())) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[:2] == ["manifest.json", "signature.json"]


def test_manifest_round_trip() -> None:
    shapes = {"a.b": ("F32", (2, 3))}
    manifest = Manifest("a", "A", "1.0", "B", "C", "D", files=(File("presets/x.json", "ab" * 32, 7, shapes),))
    assert parse_manifest(format_manifest(manifest)) == manifest


def test_cut_short_at_every_byte() -> None:
    pack = forge.small_pack()
    for length in range(len(pack)):
        with pytest.raises(PackRefused) as refusal:
            read(pack[:length])
        assert refusal.value.code == "cut-short"


def test_every_flipped_byte_of_a_signed_pack_is_noticed_or_means_nothing() -> None:
    """A bit flipped anywhere changes a hash, a checksum, a header that must be repeated, or the arrangement.

    What may differ are the fields of a zip that say nothing about its content; then what is read is the same.
    """
    pack = forge.small_pack()
    whole = read(pack)
    for at in range(len(pack)):
        changed = bytearray(pack)
        changed[at] ^= 0x10
        try:
            found = read(bytes(changed))
        except PackRefused:
            continue
        assert found == whole, at


NAMES = {
    "name-traversal": ["presets/../../evil.json", "../evil.json", ".."],
    "name-absolute": ["/etc/passwd", "//server/x.json"],
    "name-drive": ["C:/evil.json", "c:evil.json"],
    "name-backslash": ["presets\\..\\evil.json", "\\\\server\\x"],
    "name-segment": ["presets//a.json", "./presets/a.json", "presets/./a.json"],
    "name-control": ["presets/a\0.json", "presets/a\n.json", "presets/\x7f.json"],
    "name-bidi": ["presets/\u202enosj.a", "presets/a\u2066.json"],
    "name-invisible": ["presets/a\u200b.json", "presets/\ufeffa.json", "presets/a\u00ad.json"],
    "name-not-nfc": ["presets/e\u0301.json"],
    "name-not-nfkc": ["presets/\uff41.json", "presets/\ufb01.json", "\u2025/a.json", "presets/a\uff0ejson"],
    "name-not-ascii": ["presets/é.json", "presets/\u0430.json"],
    "name-upper-case": ["presets/A.json", "Presets/a.json"],
    "name-device": ["presets/con.json", "aux", "presets/lpt1.json"],
    "name-trailing": ["presets/a.json.", "presets/a.json "],
    "folder": ["presets/", "presets/a/"],
    "unknown-file": ["run.sh", "presets/a.py", "models/a.pt", "presets/deep/a.json", "adapters/a.json", "a.json"],
    "name-too-long": ["presets/" + "a" * 400 + ".json"],
    "name-empty": [""],
}


@pytest.mark.parametrize(("code", "name"), [(code, name) for code, names in NAMES.items() for name in names])
def test_names(code: str, name: str) -> None:
    with pytest.raises(PackRefused) as refusal:
        check_names([b"manifest.json", name.encode("utf-8")])
    assert refusal.value.code == code, refusal.value
    shown = str(refusal.value)
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("duplicate", [b"presets/a.json", b"presets/a.json"]),
        ("case-collision", [b"presets/a.json", b"presets/A.json"]),
        ("case-collision", ["presets/straße.json".encode(), b"presets/strasse.json"]),
        ("case-collision", ["presets/é.json".encode(), "presets/e\u0301.json".encode()]),
        ("name-not-utf8", [b"presets/\xff\xfe.json"]),
    ],
)
def test_names_that_meet(code: str, names: list[bytes]) -> None:
    with pytest.raises(PackRefused) as refusal:
        check_names(names)
    assert refusal.value.code == code


def zipped(names: list[tuple[zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for info, content in names:
            info.compress_type = method
            archive.writestr(info, content)
    return file.getvalue()


def entry(name: str, mode: int = 0, **fields: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def patched(pack: bytes, find: bytes, offset: int, change: bytes, *, nth: int = 0) -> bytes:
    """`change` written `offset` bytes after the nth place of `find`."""
    at = -1
    for _ in range(nth + 1):
        at = pack.index(find, at + 1)
    return pack[: at + offset] + change + pack[at + offset + len(change) :]


SMALL = forge.small_pack(None)
ARCHIVES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("cut-short", lambda: b""),
    "text": ("cut-short", lambda: b"hello" * 100),
    "no files": ("no-manifest", lambda: zipped([])),
    "a link": ("link", lambda: zipped([(entry("presets/a.json", stat.S_IFLNK | 0o777), b"/etc/passwd")])),
    "a folder": ("folder", lambda: zipped([(entry("presets/", stat.S_IFDIR | 0o755), b"")])),
    "a device": ("special-file", lambda: zipped([(entry("presets/a.json", stat.S_IFCHR | 0o666), b"")])),
    "a pipe": ("special-file", lambda: zipped([(entry("presets/a.json", stat.S_IFIFO | 0o666), b"")])),
    "extra fields": ("extra-fields", lambda: zipped([(entry("manifest.json", extra=b"\x75\x70\0\0"), b"{}")])),
    "a file's comment": ("extra-fields", lambda: zipped([(entry("manifest.json", comment=b"hi"), b"{}")])),
    "other packing": ("method", lambda: zipped([(entry("manifest.json"), b"{}" * 9)], zipfile.ZIP_BZIP2)),
    "encrypted": ("encrypted", lambda: patched(SMALL, b"PK\1\2", 8, b"\1\0")),
    "streamed": ("flags", lambda: patched(SMALL, b"PK\1\2", 8, b"\x08\0")),
    "something in front": ("layout", lambda: b"#!/bin/sh\n" + SMALL),
    "something behind": ("cut-short", lambda: SMALL + b"x"),
    "an archive's comment": ("cut-short", lambda: patched(SMALL, b"PK\5\6", 20, b"\2\0") + b"hi"),
    "a comment that is not there": ("comment", lambda: patched(SMALL, b"PK\5\6", 20, b"\2\0")),
    "several disks": ("several-disks", lambda: patched(SMALL, b"PK\5\6", 4, b"\1\0")),
    "two headers": ("two-headers", lambda: patched(SMALL, b"PK\3\4", 10, b"\1\0")),
    "a local name of its own": ("two-headers", lambda: patched(SMALL, b"PK\3\4", 30, b"M")),
    "damaged": ("damaged", lambda: patched(SMALL, b"PK\3\4", 30 + len(b"manifest.json"), b"\xff")),
    "overlapping": ("overlap", lambda: patched(SMALL, b"PK\1\2", 42, b"\0\0\0\0", nth=1)),
    "beyond the file": ("overlap", lambda: patched(SMALL, b"PK\1\2", 42, b"\xff\xff\xff\x7f", nth=1)),
    "a million files": ("too-many-files", lambda: patched(SMALL, b"PK\5\6", 8, b"\xff\xff\xff\xff")),
    "a huge directory": ("too-many-files", lambda: patched(SMALL, b"PK\5\6", 12, b"\xff\xff\xff\x7f")),
    "a huge file": ("file-too-large", lambda: patched(SMALL, b"PK\1\2", 24, b"\xff\xff\xff\xff")),
    "twice the same": (
        "duplicate",
        lambda: forge.forged([("presets/a.json", b"{}")] * 2),
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", ARCHIVES)
def test_archives(what: str) -> None:
    code, make = ARCHIVES[what]
    refused(make(), code)


def test_a_real_million_of_files_is_refused_unread() -> None:
    """With Zip64 records, as zip programs write them beyond 65,535 files."""
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    refused(bytes(46) * 1000 + end, "too-many-files")
    many = zipped([(entry(f"presets/p{index}.json"), b"") for index in range(MAX_ENTRIES + 1)])
    refused(many, "too-many-files")


def test_bombs() -> None:
    zeros = io.BytesIO()
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry("presets/a.json", compress_type=zipfile.ZIP_DEFLATED), bytes(20 << 20))
    refused(zeros.getvalue(), "bomb")
    nested = forge.forged([("previews/a.flac", zeros.getvalue())])
    refused(nested, "not-flac")
    half = [(f"previews/p{index}.flac", b"") for index in range(11)]
    pack = forge.forged(half)
    for index in range(1, 12):
        pack = patched(pack, b"PK\1\2", 20, struct.pack("<II", 30 << 20, 30 << 20), nth=index)
    refused(pack, "bomb")


class _Huge(io.BytesIO):
    def seek(self, offset: int, whence: int = 0, /) -> int:
        super().seek(offset, whence)
        return MAX_PACK_BYTES + 1 if whence == 2 else offset


def test_a_huge_pack_is_refused_unread() -> None:
    with pytest.raises(PackRefused) as refusal:
        PackReader(_Huge(forge.small_pack()))
    assert refusal.value.code == "too-large"


def test_a_lying_deflated_size_is_refused() -> None:
    pack = forge.small_pack(None)
    size = struct.unpack_from("<I", pack, pack.index(b"PK\1\2") + 24)[0]
    for lie in (size - 1, size + 1):
        changed = patched(pack, b"PK\1\2", 24, struct.pack("<I", lie))
        refused(patched(changed, b"PK\3\4", 22, struct.pack("<I", lie)), "size")


def test_reasons_never_break_a_line() -> None:
    assert one_line("a\nb\u202ec\x1b[31m") == "a b c [31m"
    assert len(one_line("x" * 10_000)) == 300
