"""Reading a pack: everything is checked before anything of it is believed, and nothing is written.

One file of the pack is in memory at a time, besides its texts and presets. Used by verify, by the summary before an
installation, by the installation itself (which reads once more as it writes) and by the gallery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from app.state.passage import Passage
from app.state.preset import Preset
from app.store.documents import Fields, migrate, parse_document
from app.store.packs.archive import Entry, read_directory, read_entry
from app.store.packs.manifest import MAX_MANIFEST_BYTES, File, Manifest, parse_manifest
from app.store.packs.media import check_flac, check_png
from app.store.packs.names import MANIFEST, SIGNATURE, Kind, check_names, kind_of, stem_of
from app.store.packs.refusal import PackRefused
from app.store.packs.signing import MAX_SIGNATURE_BYTES, PublicKey, verify
from app.store.packs.tensors import AdapterFacts, read_adapter_facts
from app.store.packs.texts import LINE_LENGTH, NAME_LENGTH, TEXT_LENGTH, check_shown
from app.store.passages import passage_from_document
from app.store.presets import MAX_PRESET_BYTES, parse_preset
from synth.errors import UserError

ADAPTER_ID_DIGITS: Final = 16  # an adapter is called by the first digits of its file's SHA-256
MAX_TAGS: Final = 32
_TEXT_REVISION: Final = 1
_MAX_BYTES: Final[Mapping[Kind, int]] = {
    Kind.PRESET: MAX_PRESET_BYTES,
    Kind.ADAPTER: 32 * 2**20,
    Kind.GESTURE: 2**20,
    Kind.PREVIEW: 8 * 2**20,
    Kind.PICTURE: 4 * 2**20,
    Kind.TEXT: 128 * 2**10,
}


@dataclass(frozen=True, slots=True)
class Text:
    """A page that comes with a pack, plain text."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that holds what it says. presets, adapters, gestures, texts: by id.

    manifest_sha256    names the whole content
    signer             the key that signed it; None: unsigned
    previews_s         seconds of each preview
    """

    manifest: Manifest
    manifest_sha256: str
    signer: PublicKey | None
    presets: Mapping[str, Preset]
    adapters: Mapping[str, AdapterFacts]
    gestures: Mapping[str, Passage]
    previews_s: Mapping[str, float]
    texts: Mapping[str, Text]

    @property
    def missing_adapters(self) -> tuple[str, ...]:
        """Ids of adapters that presets name and the pack does not bring."""
        named = {adapter.id for preset in self.presets.values() for adapter in preset.adapters}
        return tuple(sorted(named - self.adapters.keys()))


class PackReader:
    """Goes through an open pack. `read` checks it all; `contents` goes through it again, checking as it goes."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises PackRefused where the archive, its names or its manifest are not as they should be."""
        self._file = file
        entries = read_directory(file)
        names = check_names([entry.raw_name for entry in entries])
        self._entries = dict(zip(names, entries, strict=True))
        if not names or names[0] != MANIFEST:
            raise PackRefused("no-manifest", "The pack does not begin with its manifest.")
        self.manifest_bytes = self._bounded(MANIFEST, MAX_MANIFEST_BYTES)
        self.signature_bytes = self._bounded(SIGNATURE, MAX_SIGNATURE_BYTES) if SIGNATURE in self._entries else None
        self.manifest = parse_manifest(self.manifest_bytes)
        self._check_files(names)

    def read(self) -> Pack:
        """Check everything. Raises PackRefused."""
        signer = None if self.signature_bytes is None else verify(self.manifest_bytes, self.signature_bytes)
        presets: dict[str, Preset] = {}
        adapters: dict[str, AdapterFacts] = {}
        gestures: dict[str, Passage] = {}
        previews_s: dict[str, float] = {}
        texts: dict[str, Text] = {}
        for file, content in self.contents():
            name = stem_of(file.path)
            match kind_of(file.path):
                case Kind.PRESET:
                    presets[name] = _preset(content, file.path)
                case Kind.ADAPTER:
                    adapters[name] = _adapter(content, file)
                case Kind.GESTURE:
                    gestures[name] = _gesture(content, file.path)
                case Kind.PREVIEW:
                    previews_s[name] = check_flac(content, file.path)
                case Kind.PICTURE:
                    check_png(content, file.path)
                case Kind.TEXT:
                    texts[name] = _text(content, file.path)
                case None:
                    raise AssertionError("names were checked")
        if not presets:
            raise PackRefused("no-presets", "The pack holds no preset.")
        digest = hashlib.sha256(self.manifest_bytes).hexdigest()
        return Pack(self.manifest, digest, signer, presets, adapters, gestures, previews_s, texts)

    def contents(self) -> Iterator[tuple[File, bytes]]:
        """Every file that the manifest names, with its content, hash checked. Raises PackRefused."""
        for file in self.manifest.files:
            content = read_entry(self._file, self._entries[file.path])
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise PackRefused("hash", f"{file.path} is not the file that the manifest names: its hash differs.")
            yield file, content

    def content(self, path: str) -> bytes:
        """One file's content, hash checked. Raises PackRefused, KeyError."""
        file = next((file for file in self.manifest.files if file.path == path), None)
        if file is None:
            raise KeyError(path)
        content = read_entry(self._file, self._entries[path])
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise PackRefused("hash", f"{path} is not the file that the manifest names: its hash differs.")
        return content

    def _bounded(self, name: str, most_bytes: int) -> bytes:
        entry = self._entries[name]
        if entry.size > most_bytes:
            raise PackRefused("file-too-large", f"{name} would have {entry.size} bytes; {most_bytes} is the most.")
        return read_entry(self._file, entry)

    def _check_files(self, names: tuple[str, ...]) -> None:
        """The manifest names exactly the files that are there, in their order, and none is too large for its kind."""
        signed = (MANIFEST,) if self.signature_bytes is None else (MANIFEST, SIGNATURE)
        listed = (*signed, *(file.path for file in self.manifest.files))
        if listed != names:
            odd = next((name for name in names if name not in listed), None)
            odd = odd or next((name for name in listed if name not in names), None) or "one of them"
            raise PackRefused("not-listed", f"Manifest and archive do not name the same files: {odd}.")
        for file in self.manifest.files:
            kind, entry = kind_of(file.path), self._entries[file.path]
            if kind is None:
                raise PackRefused("not-listed", f"The manifest lists {file.path}, which it may not.")
            if entry.size != file.size:
                raise PackRefused("size", f"{file.path} is not as long as the manifest says.")
            if entry.size > _MAX_BYTES[kind]:
                problem = f"{file.path} would have {entry.size} bytes; {_MAX_BYTES[kind]} is the most."
                raise PackRefused("file-too-large", problem)
            _check_packing(file, entry, kind)


def read_pack(path: Path) -> Pack:
    """Check the pack at `path`, whole. Raises PackRefused, or UserError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return PackReader(file).read()
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {fault.strerror or fault}.", remedy="Check the path.") from fault


def _check_packing(file: File, entry: Entry, kind: Kind) -> None:
    is_json = file.path.endswith(".json")
    if entry.is_deflated and not is_json:
        raise PackRefused("method", f"{file.path} is packed in a way that packs do not use.")
    if (file.tensors is not None) != (kind is Kind.ADAPTER):
        raise PackRefused("manifest", f"manifest.json: {file.path} lists tensors where it should not, or none.")


def _preset(content: bytes, path: str) -> Preset:
    try:
        preset = parse_preset(content, path.rpartition("/")[2])
    except UserError as fault:
        raise PackRefused("preset", f"presets/{fault.message}") from fault
    check_shown(preset.name, f"{path}: name", longest=NAME_LENGTH)
    check_shown(preset.author, f"{path}: author", longest=NAME_LENGTH)
    for key in ("licence", "consent", "description"):
        check_shown(getattr(preset, key), f"{path}: {key}", longest=4 * LINE_LENGTH)
        if key != "description" and not getattr(preset, key).strip():
            raise PackRefused("preset", f"{path}: it does not say its {key}.")
    check_shown(preset.notes, f"{path}: notes", longest=TEXT_LENGTH, lines=True)
    if len(preset.tags) > MAX_TAGS:
        raise PackRefused("preset", f"{path}: {len(preset.tags)} tags; {MAX_TAGS} is the most.")
    for tag in preset.tags:
        check_shown(tag, f"{path}: a tag", longest=NAME_LENGTH)
    check_shown(preset.midi_map or "", f"{path}: midi_map", longest=NAME_LENGTH)
    for adapter in preset.adapters:
        if adapter.id != adapter.sha256[:ADAPTER_ID_DIGITS]:
            raise PackRefused("adapter-name", f"{path} names an adapter {adapter.id} with another file's hash.")
    if preset.model is not None:
        check_shown(preset.model.name, f"{path}: model", longest=NAME_LENGTH)
    return preset


def _adapter(content: bytes, file: File) -> AdapterFacts:
    facts = read_adapter_facts(content, file.path)
    if stem_of(file.path) != file.sha256[:ADAPTER_ID_DIGITS]:
        raise PackRefused("adapter-name", f"{file.path} is not called as its content: {file.sha256[:16]}.")
    if dict(facts.shapes) != dict(file.tensors or {}):
        raise PackRefused("tensor-shape", f"{file.path} holds other tensors than the manifest says.")
    return facts


def _gesture(content: bytes, path: str) -> Passage:
    try:
        return passage_from_document(parse_document(content, path, what="passage"))
    except UserError as fault:
        raise PackRefused("gesture", f"{path}: {fault.message}") from fault


def _text(content: bytes, path: str) -> Text:
    try:
        fields = Fields(migrate(parse_document(content, path, what="text"), _TEXT_REVISION, {}, what="text"), "")
        fields.take("revision")
        text = Text(fields.text("title"), fields.text("text"))
        fields.finish()
    except UserError as fault:
        raise PackRefused("text", f"{path}: {fault.message}") from fault
    check_shown(text.title, f"{path}: title", longest=NAME_LENGTH)
    check_shown(text.text, f"{path}: text", longest=TEXT_LENGTH, lines=True)
    return text
