"""Good packs, small ones, and the means to forge bad ones."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import soundfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.state.passage import Note, Passage, Voice
from app.state.preset import Preset
from app.state.preset_parts import AdapterReference, ModelReference
from app.store.documents import format_document
from app.store.packs.archive import write_archive
from app.store.packs.manifest import File, Manifest, format_manifest
from app.store.packs.reader import Text
from app.store.packs.signing import sign
from app.store.packs.tensors import read_adapter_facts
from app.store.packs.writer import PackContents, build_pack

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
BASE_HASH = "0123456789abcdef" * 2
MANIFEST = Manifest("orcs", "Orcs", "1.0", "Ann Singer", "CC0-1.0", "My own voice; everybody may sing with it.")
CONFIG = {
    "name": "orc",
    "method": "lora",
    "base_hash": BASE_HASH,
    "regions": ["late"],
    "licence": "CC0-1.0",
    "consent": "Hers.",
}


def safetensors(tensors: Mapping[str, tuple[str, Sequence[int], bytes]], metadata: object = None) -> bytes:
    """A safetensors file of (type, shape, bytes)."""
    header: dict[str, Any] = {"__metadata__": {"kind": "adapter", "config": json.dumps(CONFIG)}}
    if metadata is not None:
        header["__metadata__"] = metadata
    at = 0
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(values)]}
        at += len(values)
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + b"".join(values for _, _, values in tensors.values())


def floats(*shape: int, value: float = 0.5) -> tuple[str, Sequence[int], bytes]:
    """A tensor of equal values."""
    return "F32", shape, np.full(shape, value, dtype=np.float32).tobytes()


def flac(seconds: float = 0.1) -> bytes:
    """A tone."""
    file = io.BytesIO()
    tone = 0.3 * np.sin(np.arange(round(48_000 * seconds)) * 0.05)
    soundfile.write(file, tone, 48_000, format="FLAC")
    return file.getvalue()


def png(width: int = 4, height: int = 3, *, said: tuple[int, int] | None = None) -> bytes:
    """A grey picture; `said`: what its header claims instead."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", *(said or (width, height)), 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def preset(preset_id: str = "orc_growl", **changes: Any) -> Preset:
    """A preset whose texts are filled in."""
    filled = Preset(preset_id, "Orc growl", "Ann Singer", "CC0-1.0", "Her own voice.", ("low",), "Low and wide.")
    return replace(filled, **changes)


ADAPTER = safetensors(
    {"base_model.model.leave.lora_A.weight": floats(2, 8), "base_model.model.leave.lora_B.weight": floats(8, 2)}
)
ADAPTER_SHA256 = hashlib.sha256(ADAPTER).hexdigest()
ADAPTER_ID = ADAPTER_SHA256[:16]


def contents() -> PackContents:
    """One file of every kind."""
    adapter = AdapterReference(ADAPTER_ID, ADAPTER_SHA256, {"late": 1.0})
    return PackContents(
        presets=(
            preset(adapters=(adapter,), model=ModelReference("first", BASE_HASH)),
            preset("orc_sigh", name="Orc sigh", technique={"sigh": 1.0}),
        ),
        adapters=(ADAPTER,),
        gestures={"call": Passage(2.0, voices=(Voice(notes=(Note(0.0, 1.0, 57),)),))},
        previews={"orc_growl": flac()},
        pictures={"cover": png()},
        texts={"readme": Text("Read me", "Line one.\nLine two.")},
    )


def good_pack(key: Ed25519PrivateKey | None = KEY, **changes: Any) -> bytes:
    """A whole pack; `changes` to its manifest."""
    return build_pack(replace(MANIFEST, **changes), contents(), key)


def small_pack(key: Ed25519PrivateKey | None = KEY) -> bytes:
    """One preset and nothing else."""
    return build_pack(MANIFEST, PackContents(presets=(preset(),)), key)


def forged(
    files: Sequence[tuple[str, bytes]],
    *,
    manifest: Callable[[dict[str, Any]], object] | None = None,
    key: Ed25519PrivateKey | None = None,
    listed: Sequence[File] | None = None,
) -> bytes:
    """A pack of any (path, bytes), with a manifest that fits them, changed by `manifest` before it is signed."""
    if listed is None:
        listed = [File(path, hashlib.sha256(body).hexdigest(), len(body), _shapes(path, body)) for path, body in files]
    head = format_manifest(replace(MANIFEST, files=tuple(listed)))
    if manifest is not None:
        document = json.loads(head)
        manifest(document)
        head = format_document(document).encode()
    signature = [] if key is None else [("signature.json", sign(head, key))]
    archive = io.BytesIO()
    write_archive(archive, [("manifest.json", head), *signature, *files])
    return archive.getvalue()


def _shapes(path: str, body: bytes) -> Any:
    if not path.endswith(".safetensors"):
        return None
    try:
        return read_adapter_facts(body, path).shapes
    except Exception:  # what is forged here need not be an adapter
        return {}
