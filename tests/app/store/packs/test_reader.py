"""Packs that are as they should be, and every way we know in which they are not."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.store.packs.archive import MAX_ENTRIES, MAX_PACK_BYTES
from app.store.packs.manifest import File, Manifest, format_manifest, parse_manifest
from app.store.packs.names import check_names
from app.store.packs.reader import Pack, PackReader
from app.store.packs.refusal import PackRefused, one_line
from app.store.packs.signing import public_key_of
from app.store.presets import format_preset
from tests.app.store.packs import forge


def read(pack: bytes) -> Pack:
    return PackReader(io.BytesIO(pack)).read()


def refused(pack: bytes, code: str) -> PackRefused:
    """It is refused for this reason, in one line."""
    with pytest.raises(PackRefused) as refusal:
        read(pack)
    assert refusal.value.code == code, str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(refusal.value.message) <= 300
    return refusal.value


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


PRESET = format_preset(forge.preset("a"))
GOOD = [("presets/a.json", PRESET)]


def hashed(path: str, body: bytes, **changes: Any) -> File:
    return File(path, **{"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), **changes})


FORGED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a forged hash": ("hash", lambda: forge.forged(GOOD, listed=[hashed(*GOOD[0], sha256="0" * 64)])),
    "another size": ("size", lambda: forge.forged(GOOD, listed=[hashed(*GOOD[0], size=3)])),
    "not listed": ("not-listed", lambda: forge.forged(GOOD, listed=[])),
    "listed, not there": ("not-listed", lambda: forge.forged([], listed=[hashed(*GOOD[0])])),
    "another order": (
        "not-listed",
        lambda: forge.forged(
            [*GOOD, ("presets/b.json", b"{}")], listed=[hashed("presets/b.json", b"{}"), hashed(*GOOD[0])]
        ),
    ),
    "no presets": ("no-presets", lambda: forge.forged([])),
    "no licence": ("manifest", lambda: forge.forged(GOOD, manifest=lambda m: m.update(licence=" "))),
    "no consent": ("manifest", lambda: forge.forged(GOOD, manifest=lambda m: m.pop("consent"))),
    "an unknown key": ("manifest", lambda: forge.forged(GOOD, manifest=lambda m: m.update(run="x"))),
    "a newer manifest": ("manifest", lambda: forge.forged(GOOD, manifest=lambda m: m.update(revision=2))),
    "a path for an id": ("manifest", lambda: forge.forged(GOOD, manifest=lambda m: m.update(id="../x"))),
    "a hidden name": (
        "text-invisible",
        lambda: forge.forged(GOOD, manifest=lambda m: m.update(author="Ann\u202e")),
    ),
    "a name too long": ("text-too-long", lambda: forge.forged(GOOD, manifest=lambda m: m.update(name="x" * 999))),
    "a pickle for JSON": ("preset", lambda: forge.forged([("presets/a.json", b"\x80\x04\x95cos\nsystem\n.")])),
    "a preset of another name": ("preset", lambda: forge.forged([("presets/b.json", PRESET)])),
    "a preset out of range": (
        "preset",
        lambda: forge.forged([("presets/a.json", PRESET.replace(b'"pitch_drift": 0.35', b'"pitch_drift": 35'))]),
    ),
    "a preset nested deeply": ("preset", lambda: forge.forged([("presets/a.json", b'{"a":' + b"[" * 60_000)])),
    "a hidden preset name": (
        "text-invisible",
        lambda: forge.forged([("presets/a.json", format_preset(forge.preset("a", name="Orc\u200b")))]),
    ),
    "half a character": (
        "preset",
        lambda: forge.forged([("presets/a.json", PRESET.replace(b'"Orc growl"', b'"\\ud800"'))]),
    ),
    "a preset without consent": (
        "preset",
        lambda: forge.forged([("presets/a.json", format_preset(forge.preset("a", consent="")))]),
    ),
    "a gesture that is none": ("gesture", lambda: forge.forged([*GOOD, ("gestures/a.json", b"{}")])),
    "a text that is none": ("text", lambda: forge.forged([*GOOD, ("texts/a.json", b'{"revision": 1}')])),
    "a hidden line": (
        "text-invisible",
        lambda: forge.forged(
            [*GOOD, ("texts/a.json", json.dumps({"revision": 1, "title": "a", "text": "a\u2028b"}).encode())]
        ),
    ),
    "a program for a sound": ("not-flac", lambda: forge.forged([*GOOD, ("previews/a.flac", b"\x7fELF" + bytes(99))])),
    "a sound cut short": ("not-flac", lambda: forge.forged([*GOOD, ("previews/a.flac", forge.flac()[:30])])),
    "a sound without sound": ("not-flac", lambda: forge.forged([*GOOD, ("previews/a.flac", forge.flac()[:60])])),
    "a sound too long": ("media-size", lambda: forge.forged([*GOOD, ("previews/a.flac", forge.flac(31.0))])),
    "a program for a picture": ("not-png", lambda: forge.forged([*GOOD, ("pictures/a.png", b"MZ" + bytes(99))])),
    "a picture cut short": ("not-png", lambda: forge.forged([*GOOD, ("pictures/a.png", forge.png()[:40])])),
    "a picture too large": ("media-size", lambda: forge.forged([*GOOD, ("pictures/a.png", forge.png(4000, 1))])),
    "a picture that lies": (
        "not-png",
        lambda: forge.forged([*GOOD, ("pictures/a.png", forge.png(4, 3, said=(4, 4)))]),
    ),
    "a picture bomb": ("bomb", lambda: forge.forged([*GOOD, ("pictures/a.png", forge.png(2000, 2000, said=(2, 2)))])),
    "a picture with a tail": ("media-extra", lambda: forge.forged([*GOOD, ("pictures/a.png", forge.png() + b"PK")])),
}


@pytest.mark.parametrize("what", FORGED)
def test_contents(what: str) -> None:
    code, make = FORGED[what]
    refused(make(), code)


def adapter_pack(body: bytes, *, name: str | None = None) -> bytes:
    stem = hashlib.sha256(body).hexdigest()[:16] if name is None else name
    return forge.forged([*GOOD, (f"adapters/{stem}.safetensors", body)])


NAN = float("nan")
TENSORS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a pickle renamed": ("not-safetensors", lambda: b"\x80\x02}q\0." + bytes(64)),
    "a pickle in a zip renamed": ("not-safetensors", lambda: zipped([(entry("archive/data.pkl"), b"\x80\x02.")])),
    "nothing": ("not-safetensors", lambda: b""),
    "a header beyond the file": ("not-safetensors", lambda: (1 << 40).to_bytes(8, "little") + b"{}"),
    "no tensors": ("tensor-number", lambda: forge.safetensors({})),
    "not a number": ("tensor-values", lambda: forge.safetensors({"a": forge.floats(2, value=NAN)})),
    "infinite": ("tensor-values", lambda: forge.safetensors({"a": forge.floats(2, value=float("inf"))})),
    "beyond measure": ("tensor-values", lambda: forge.safetensors({"a": forge.floats(2, value=1e30)})),
    "half not a number": ("tensor-values", lambda: forge.safetensors({"a": ("F16", [1], b"\x00\x7e")})),
    "brain not a number": ("tensor-values", lambda: forge.safetensors({"a": ("BF16", [1], b"\xc0\x7f")})),
    "places below 0": ("tensor-values", lambda: forge.safetensors({"a": ("I32", [1], b"\xff\xff\xff\xff")})),
    "another type": ("tensor-type", lambda: forge.safetensors({"a": ("F64", [1], bytes(8))})),
    "a huge shape": ("tensor-shape", lambda: forge.safetensors({"a": ("F32", [1 << 40, 1 << 40], bytes(8))})),
    "a shape of nothing": ("tensor-shape", lambda: forge.safetensors({"a": ("F32", [0], b"")})),
    "fewer values": ("tensor-shape", lambda: forge.safetensors({"a": ("F32", [3], bytes(8))})),
    "a tail": ("tensor-layout", lambda: forge.safetensors({"a": forge.floats(2)}) + b"MZ"),
    "a path for a name": ("tensor-name", lambda: forge.safetensors({"../a": forge.floats(2)})),
    "no metadata": ("not-an-adapter", lambda: forge.safetensors({"a": forge.floats(2)}, metadata={})),
    "other metadata": ("not-an-adapter", lambda: forge.safetensors({"a": forge.floats(2)}, metadata=["x"])),
    "no base": (
        "not-an-adapter",
        lambda: forge.safetensors(
            {"a": forge.floats(2)},
            metadata={"kind": "adapter", "config": json.dumps({**forge.CONFIG, "base_hash": "x"})},
        ),
    ),
}


@pytest.mark.parametrize("what", TENSORS)
def test_adapters(what: str) -> None:
    code, make = TENSORS[what]
    refused(adapter_pack(make()), code)


def test_overlapping_tensors_are_refused() -> None:
    body = forge.safetensors({"a": forge.floats(2), "b": forge.floats(2)})
    refused(adapter_pack(body.replace(b"[8, 16]", b"[0,  8]")), "tensor-layout")


def test_adapters_must_be_what_name_and_manifest_say() -> None:
    refused(adapter_pack(forge.ADAPTER, name="0" * 16), "adapter-name")

    def wrong(document: dict[str, Any]) -> None:
        document["files"][1]["tensors"]["base_model.model.leave.lora_A.weight"] = ["F32", [3, 8]]

    pack = forge.forged([*GOOD, (f"adapters/{forge.ADAPTER_ID}.safetensors", forge.ADAPTER)], manifest=wrong)
    refused(pack, "tensor-shape")
    named = json.loads(format_preset(forge.contents().presets[0]))
    named["adapters"][0]["id"] = "f" * 16
    refused(forge.forged([("presets/orc_growl.json", json.dumps(named).encode())]), "adapter-name")


def test_signatures() -> None:
    good = forge.forged(GOOD, key=forge.KEY)
    assert read(good).signer == public_key_of(forge.KEY)
    signature = json.loads(PackReader(io.BytesIO(good)).signature_bytes or b"")

    def with_signature(**changes: Any) -> bytes:
        files = [("signature.json", json.dumps({**signature, **changes}).encode()), *GOOD]
        return forge.forged(files, listed=[hashed(*GOOD[0])])

    assert read(with_signature()).signer == public_key_of(forge.KEY)
    flipped = f"{int(signature['signature'][:2], 16) ^ 1:02x}{signature['signature'][2:]}"
    refused(with_signature(signature=flipped), "signature")
    refused(with_signature(public_key=public_key_of(forge.OTHER_KEY).raw.hex()), "signature")
    refused(with_signature(public_key="00" * 32), "signature")
    refused(with_signature(signature="00"), "signature-form")
    refused(with_signature(algorithm="none"), "signature-form")
    refused(with_signature(note="x" * 5000), "file-too-large")


def test_reasons_never_break_a_line() -> None:
    assert one_line("a\nb\u202ec\x1b[31m") == "a b c [31m"
    assert len(one_line("x" * 10_000)) == 300


def test_large_adapters_are_checked_a_piece_at_a_time() -> None:
    values = np.zeros(3 << 20, dtype=np.float32)
    values[-1] = np.nan
    body = forge.safetensors({"a": ("F32", [48, 65536], values.tobytes())})
    refused(adapter_pack(body), "tensor-values")
