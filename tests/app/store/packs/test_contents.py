"""What lies in a pack: presets, sounds, pictures, adapters, signatures, hashes; and every way in which they fail."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.store.packs.manifest import File
from app.store.packs.reader import PackReader
from app.store.packs.signing import public_key_of
from app.store.presets import format_preset
from tests.app.store.packs import forge
from tests.app.store.packs.judging import read, refused

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


def _zip_of(name: str, body: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, body)
    return file.getvalue()


NAN = float("nan")
TENSORS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a pickle renamed": ("not-safetensors", lambda: b"\x80\x02}q\0." + bytes(64)),
    "a pickle in a zip renamed": ("not-safetensors", lambda: _zip_of("archive/data.pkl", b"\x80\x02.")),
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


def test_large_adapters_are_checked_a_piece_at_a_time() -> None:
    values = np.zeros(3 << 20, dtype=np.float32)
    values[-1] = np.nan
    body = forge.safetensors({"a": ("F32", [48, 65536], values.tobytes())})
    refused(adapter_pack(body), "tensor-values")
