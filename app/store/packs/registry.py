"""A registry: a JSON index of packs with hashes and mirrors, read from a file or an address that the user gives.

The index is not believed either: what is fetched must have the hash that the index names, and is then checked like any
other pack. Stridor names no registry of its own and asks none unbidden.

Revisions:
1  the first.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.state.places import PlacedError, at
from app.state.preset_parts import check_id, check_sha256
from app.store.documents import Document, Fields, Migration, format_document, migrate, parse_document
from app.store.packs.archive import MAX_PACK_BYTES
from app.store.packs.reader import Pack
from app.store.packs.refusal import PackRefused
from app.store.packs.texts import LINE_LENGTH, NAME_LENGTH, check_shown
from synth.errors import UserError

REGISTRY_REVISION: Final = 1
MIGRATIONS: Final[Mapping[int, Migration]] = {}
MAX_INDEX_BYTES: Final = 8 * 2**20
MAX_MIRRORS: Final = 16
_PATIENCE_S: Final = 20.0
_PIECE_BYTES: Final = 1 << 16
_SCHEMES: Final = ("https", "http")


@dataclass(frozen=True, slots=True)
class Listed:
    """One pack of an index. mirrors: addresses, or paths beside the index; sha256, size: of the pack's file."""

    id: str
    name: str
    version: str
    author: str
    licence: str
    description: str
    sha256: str
    size: int
    mirrors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registry:
    """An index and where it came from; mirrors without an address of their own are beside it."""

    name: str
    packs: tuple[Listed, ...]
    source: str

    def find(self, pack_id: str) -> Listed:
        """The listed pack. Raises UserError."""
        found = next((pack for pack in self.packs if pack.id == pack_id), None)
        if found is None:
            known = ", ".join(pack.id for pack in self.packs[:20])
            raise UserError(f"{self.name} lists no pack {pack_id!r}.", remedy=f"It lists: {known}.")
        return found


def listed(pack: Pack, content: bytes, mirrors: Sequence[str]) -> Listed:
    """The entry of a pack that was read from `content`."""
    m = pack.manifest
    digest = hashlib.sha256(content).hexdigest()
    return Listed(m.id, m.name, m.version, m.author, m.licence, m.description, digest, len(content), tuple(mirrors))


def format_registry(name: str, packs: Sequence[Listed]) -> bytes:
    """The index's file."""
    entries = [
        {
            "id": pack.id,
            "name": pack.name,
            "version": pack.version,
            "author": pack.author,
            "licence": pack.licence,
            "description": pack.description,
            "sha256": pack.sha256,
            "bytes": pack.size,
            "mirrors": list(pack.mirrors),
        }
        for pack in packs
    ]
    document: Document = {"revision": REGISTRY_REVISION, "name": name, "packs": entries}
    return (format_document(document) + "\n").encode("utf-8")


def read_registry(source: str) -> Registry:
    """The index at a path or an address. Raises UserError."""
    content = _fetch(source, MAX_INDEX_BYTES)
    try:
        document = parse_document(content, source, what="registry")
        fields = Fields(migrate(document, REGISTRY_REVISION, MIGRATIONS, what="registry"), "")
        fields.take("revision")
        name = fields.text("name")
        check_shown(name, "The registry's name", longest=NAME_LENGTH)
        packs = tuple(_listed(item, index) for index, item in enumerate(fields.items("packs")))
        fields.finish()
    except PlacedError as fault:
        raise UserError(f"{source}: {fault.message}", remedy=fault.remedy) from fault
    return Registry(name, packs, source)


def fetch_pack(registry: Registry, pack: Listed) -> bytes:
    """The pack's bytes from the first mirror that has them whole. Raises UserError when none has."""
    troubles: list[str] = []
    for mirror in pack.mirrors:
        try:
            content = _fetch(_beside(registry.source, mirror), min(MAX_PACK_BYTES, pack.size))
        except UserError as fault:
            troubles.append(fault.message)
            continue
        if hashlib.sha256(content).hexdigest() == pack.sha256:
            return content
        troubles.append(f"{mirror} has another file than the registry names.")
    raise UserError(f"{pack.name} could not be fetched. {' '.join(troubles[:3])}", remedy="Try another registry.")


def _listed(item: object, index: int) -> Listed:
    with at(f"packs[{index}]"):
        fields = Fields(item, "")
        texts = {
            key: fields.text(key) for key in ("id", "name", "version", "author", "licence", "description", "sha256")
        }
        size, mirrors = fields.integer("bytes"), fields.items("mirrors")
        fields.finish()
        check_id(texts["id"], "id")
        check_sha256(texts["sha256"], "sha256")
        if not 0 < size <= MAX_PACK_BYTES:
            raise PlacedError("bytes", f"{size} is no size of a pack.")
        if not mirrors or len(mirrors) > MAX_MIRRORS or not all(isinstance(mirror, str) for mirror in mirrors):
            raise PlacedError("mirrors", f"not a list of 1 to {MAX_MIRRORS} addresses.")
    for key in ("name", "version", "author", "licence", "description"):
        check_shown(texts[key], f"packs[{index}].{key}", longest=4 * LINE_LENGTH, lines=key == "description")
    for mirror in mirrors:
        check_shown(mirror, f"packs[{index}].mirrors")
    return Listed(**texts, size=size, mirrors=tuple(mirrors))


def _beside(source: str, mirror: str) -> str:
    """A mirror's whole address or path: paths only lead down from a local index, and addresses never to files."""
    if _scheme(mirror):
        return mirror
    parts = Path(mirror).parts
    if not parts or Path(mirror).is_absolute() or ".." in parts or "\\" in mirror or ":" in mirror:
        raise PackRefused("mirror", f"The registry names a mirror that is no address: {mirror}.")
    if _scheme(source):
        return urllib.parse.urljoin(source, urllib.parse.quote(mirror))
    return str(Path(source).parent / mirror)


def _scheme(text: str) -> str:
    scheme = urllib.parse.urlsplit(text).scheme.lower()
    return scheme if scheme in _SCHEMES else ""


def _fetch(source: str, most_bytes: int) -> bytes:
    """At most `most_bytes` from a path or an http(s) address. Raises UserError."""
    too_large = UserError(f"{source} is larger than it may be.", remedy="Choose another.")
    if not _scheme(source):
        try:
            with Path(source).open("rb") as file:
                content = file.read(most_bytes + 1)
        except OSError as fault:
            problem = f"{source} cannot be read: {fault.strerror or fault}."
            raise UserError(problem, remedy="Give a file, or an https:// address.") from fault
    else:
        content = _download(source, most_bytes)
    if len(content) > most_bytes:
        raise too_large
    return content


def _download(address: str, most_bytes: int) -> bytes:
    opener = urllib.request.build_opener(_OnlyWeb())
    pieces: list[bytes] = []
    size = 0
    try:
        with opener.open(address, timeout=_PATIENCE_S) as answer:
            while size <= most_bytes and (piece := answer.read(_PIECE_BYTES)):
                pieces.append(piece)
                size += len(piece)
    except (OSError, ValueError, urllib.error.URLError) as fault:
        raise UserError(f"{address} did not answer: {fault}.", remedy="Check the address and the network.") from fault
    return b"".join(pieces)


class _OnlyWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirections within the web, and from https to nothing less."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not _scheme(newurl) or (_scheme(req.full_url) == "https" and _scheme(newurl) != "https"):
            raise urllib.error.URLError(f"it leads to {newurl[:80]}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
