"""Making a pack: presets, the adapters they name, previews, gestures, pictures, texts; signed where there is a key."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.state.passage import Passage
from app.state.preset import Preset
from app.store.atomic import write_atomically
from app.store.documents import format_document
from app.store.packs.archive import write_archive
from app.store.packs.manifest import File, Manifest, format_manifest
from app.store.packs.names import MANIFEST, SIGNATURE
from app.store.packs.reader import ADAPTER_ID_DIGITS, Pack, PackReader, Text
from app.store.packs.signing import sign
from app.store.packs.tensors import read_adapter_facts
from app.store.passages import passage_to_document
from app.store.presets import format_preset
from synth.errors import UserError

PACK_SUFFIX: Final = ".stridorpack"


@dataclass(frozen=True, slots=True)
class PackContents:
    """What shall go into a pack.

    presets     in the order in which they are shown
    adapters    files' bytes
    previews    preset id -> FLAC bytes;  pictures: id -> PNG bytes
    """

    presets: tuple[Preset, ...]
    adapters: tuple[bytes, ...] = ()
    gestures: Mapping[str, Passage] = field(default_factory=dict)
    previews: Mapping[str, bytes] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    texts: Mapping[str, Text] = field(default_factory=dict)


def build_pack(manifest: Manifest, contents: PackContents, key: Ed25519PrivateKey | None = None) -> bytes:
    """The pack's bytes. `manifest.files` is filled in here. The same input gives the same bytes.

    Raises UserError for what no reader would take: the pack is read back before it is handed out.
    """
    named = _files(contents)
    files = tuple(
        File(
            path,
            hashlib.sha256(content).hexdigest(),
            len(content),
            read_adapter_facts(content, path).shapes if path.endswith(".safetensors") else None,
        )
        for path, content in named
    )
    head = format_manifest(replace(manifest, files=files))
    written = [(MANIFEST, head), *([] if key is None else [(SIGNATURE, sign(head, key))]), *named]
    pack = io.BytesIO()
    write_archive(pack, written)
    _check(pack)
    return pack.getvalue()


def save_pack(path: Path, pack: bytes) -> None:
    """Write a pack's bytes, atomically. Raises UserError."""
    if path.suffix != PACK_SUFFIX:
        raise UserError(f"{path.name} is no name for a pack.", remedy=f"Let it end in {PACK_SUFFIX}.")
    write_atomically(path, pack)


def _check(pack: io.BytesIO) -> Pack:
    read = PackReader(pack).read()
    if read.missing_adapters:
        problem = f"The presets sing with adapters that are not given: {', '.join(read.missing_adapters)}."
        raise UserError(problem, remedy="Name their files, or leave those presets out.")
    return read


def _files(contents: PackContents) -> list[tuple[str, bytes]]:
    """(path in the pack, bytes), small and telling ones first."""
    texts = {name: {"revision": 1, "title": page.title, "text": page.text} for name, page in contents.texts.items()}
    gestures = {name: passage_to_document(passage) for name, passage in contents.gestures.items()}
    named = [(f"texts/{name}.json", format_document(text).encode("utf-8")) for name, text in texts.items()]
    named += [(f"presets/{preset.id}.json", format_preset(preset)) for preset in contents.presets]
    named += [(f"gestures/{name}.json", format_document(entry).encode("utf-8")) for name, entry in gestures.items()]
    named += [(f"pictures/{name}.png", content) for name, content in contents.pictures.items()]
    named += [(f"previews/{name}.flac", content) for name, content in contents.previews.items()]
    for content in contents.adapters:
        adapter_id = hashlib.sha256(content).hexdigest()[:ADAPTER_ID_DIGITS]
        named.append((f"adapters/{adapter_id}.safetensors", content))
    return named
