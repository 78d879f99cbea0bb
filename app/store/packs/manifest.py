"""The manifest of a pack: who made it, under which licence, with whose consent, and the hash of every file in it.

Revisions:
1  the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.state.places import PlacedError, at
from app.state.preset_parts import ModelReference, check_id, check_sha256
from app.store.documents import Document, Fields, Migration, format_document, migrate, parse_document
from app.store.packs.refusal import PackRefused
from app.store.packs.texts import LINE_LENGTH, NAME_LENGTH, TEXT_LENGTH, check_shown
from synth.errors import UserError

MANIFEST_REVISION: Final = 1
MAX_MANIFEST_BYTES: Final = 1 << 20
MIGRATIONS: Final[Mapping[int, Migration]] = {}
_VERSION_FORM: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}")
_LENGTHS: Final = {"name": NAME_LENGTH, "author": NAME_LENGTH, "licence": LINE_LENGTH, "consent": 4 * LINE_LENGTH}

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # tensor -> (type, shape)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a pack. `tensors`: of adapters, every tensor's type and shape; None of other files."""

    path: str
    sha256: str
    size: int
    tensors: Shapes | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pack says of itself.

    consent    whose voices these are and what they agreed to
    model      the weights that its presets were made with, if one for all
    files      in the order in which they lie in the pack
    """

    id: str
    name: str
    version: str
    author: str
    licence: str
    consent: str
    description: str = ""
    model: ModelReference | None = None
    files: tuple[File, ...] = ()

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        if not _VERSION_FORM.fullmatch(self.version):
            raise PlacedError("version", f"{self.version[:40]!r} is not a version.", remedy="Such as 1.0 or 2.1.3.")
        for key, longest in _LENGTHS.items():
            text = getattr(self, key)
            if not text.strip():
                raise PlacedError(key, "a pack must say it.", remedy="Fill it in.")
            check_shown(text, f"The pack's {key}", longest=longest)
        check_shown(self.description, "The pack's description", longest=TEXT_LENGTH, lines=True)


def parse_manifest(content: bytes) -> Manifest:
    """A manifest from its file's bytes. Raises PackRefused."""
    if len(content) > MAX_MANIFEST_BYTES:
        raise PackRefused("manifest", "The manifest is too large.")
    try:
        document = parse_document(content, "manifest.json", what="manifest")
        fields = Fields(migrate(document, MANIFEST_REVISION, MIGRATIONS, what="manifest"), "")
        fields.take("revision")
        model = fields.take("model", None)
        files = tuple(_file(item, index) for index, item in enumerate(fields.items("files")))
        texts = {key: fields.text(key) for key in ("id", "name", "version", *list(_LENGTHS)[1:])}
        manifest = Manifest(**texts, description=fields.text("description", ""), model=_model(model), files=files)
        fields.finish()
    except PackRefused:
        raise
    except UserError as fault:
        raise PackRefused("manifest", f"manifest.json: {fault.message}") from fault
    return manifest


def format_manifest(manifest: Manifest) -> bytes:
    """The manifest's file; `parse_manifest` gives an equal manifest back."""
    document: Document = {"revision": MANIFEST_REVISION}
    for key in ("id", "name", "version", "author", "licence", "consent", "description"):
        document[key] = getattr(manifest, key)
    if manifest.model is not None:
        document["model"] = {"name": manifest.model.name, "hash": manifest.model.hash}
    document["files"] = [_file_document(file) for file in manifest.files]
    return (format_document(document) + "\n").encode("utf-8")


def _file_document(file: File) -> Document:
    document: Document = {"path": file.path, "sha256": file.sha256, "bytes": file.size}
    if file.tensors is not None:
        document["tensors"] = {name: [dtype, list(shape)] for name, (dtype, shape) in sorted(file.tensors.items())}
    return document


def _file(item: object, index: int) -> File:
    with at(f"files[{index}]"):
        fields = Fields(item, "")
        tensors = fields.take("tensors", None)
        file = File(fields.text("path"), fields.text("sha256"), fields.integer("bytes"), _tensors(tensors))
        fields.finish()
        check_sha256(file.sha256, "sha256")
        if file.size < 0:
            raise PlacedError("bytes", f"{file.size} is no size.")
    return file


def _tensors(value: object) -> Shapes | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise PlacedError("tensors", "not an object.")
    return {name: _tensor(entry, name) for name, entry in value.items()}


def _tensor(entry: Any, name: str) -> tuple[str, tuple[int, ...]]:
    is_whole = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], list)
    if not is_whole or any(isinstance(length, bool) or not isinstance(length, int) for length in entry[1]):
        raise PlacedError(f"tensors.{name}", "not a type and a shape.")
    return entry[0], tuple(entry[1])


def _model(value: object) -> ModelReference | None:
    if value is None:
        return None
    with at("model"):
        fields = Fields(value, "")
        model = ModelReference(fields.text("name"), fields.text("hash"))
        fields.finish()
    check_shown(model.name, "The model's name", longest=NAME_LENGTH)
    return model
