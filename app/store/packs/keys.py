"""Keys on this machine: the author's own, and those of authors whose packs were installed (pinned on first use).

Both lie in the user's configuration folder. A private key never leaves it: nothing here returns its bytes, and a pack
takes only files of the kinds in app.store.packs.names.

Revisions of pinned.json:
1  the first.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

import platformdirs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.state.places import PlacedError, at
from app.store.atomic import make_folder, read_bytes, write_atomically
from app.store.documents import Document, Fields, Migration, format_document, migrate, read_document
from app.store.packs.signing import PublicKey
from synth.errors import UserError

PINS_REVISION: Final = 1
MIGRATIONS: Final[Mapping[int, Migration]] = {}
_PRIVATE: Final = "author.pem"
_PINS: Final = "pinned.json"
_RAW_BYTES: Final = 32


class Trust(StrEnum):
    """What the signature of a pack says about its author, on this machine."""

    UNSIGNED = "unsigned"  # nobody vouches for the author's name
    NEW = "new"  # signed by a key not seen before; installing pins it to the author's name
    KNOWN = "known"  # signed by the key that is pinned to this author's name
    OTHER_NAME = "other-name"  # signed by a pinned key that has so far signed under another name
    CHANGED = "changed"  # another key is pinned to this author's name: somebody else, or a new key
    UNSIGNED_KNOWN = "unsigned-known"  # the author's other packs were signed, and this one is not


QUESTIONABLE: Final = frozenset((Trust.CHANGED, Trust.UNSIGNED_KNOWN))


@dataclass(frozen=True, slots=True)
class Pin:
    """A public key and the author's name it was first seen with."""

    author: str
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Pins:
    """The pinned keys, oldest first."""

    pins: tuple[Pin, ...] = ()

    def trust(self, author: str, signer: PublicKey | None) -> Trust:
        """What a pack of `author` signed by `signer` is to this machine."""
        name = same_name(author)
        of_author = [pin for pin in self.pins if same_name(pin.author) == name]
        if signer is None:
            return Trust.UNSIGNED_KNOWN if of_author else Trust.UNSIGNED
        if any(pin.key == signer for pin in of_author):
            return Trust.KNOWN
        if of_author:
            return Trust.CHANGED
        return Trust.OTHER_NAME if any(pin.key == signer for pin in self.pins) else Trust.NEW

    def with_pin(self, pin: Pin) -> Pins:
        """`pin` added, once."""
        return self if pin in self.pins else replace(self, pins=(*self.pins, pin))

    def without(self, fingerprint: str) -> Pins:
        """The key of this fingerprint forgotten. Raises UserError where it is not pinned."""
        wanted = fingerprint.replace(" ", "").lower()
        kept = tuple(pin for pin in self.pins if pin.key.fingerprint.replace(" ", "") != wanted)
        if len(kept) == len(self.pins):
            raise UserError("No key with this fingerprint is pinned.", remedy="`stridor presets keys` shows them.")
        return Pins(kept)


def same_name(author: str) -> str:
    """What two spellings of one name have in common: width, case and spaces do not tell people apart."""
    return " ".join(unicodedata.normalize("NFKC", author).casefold().split())


def keys_folder() -> Path:
    """Where keys lie; it need not exist."""
    return platformdirs.user_config_path("stridor", appauthor=False) / "keys"


def read_pins(folder: Path | None = None) -> Pins:
    """The pinned keys. Raises UserError: a list that cannot be read must not be taken for an empty one."""
    path = (keys_folder() if folder is None else folder) / _PINS
    if not path.exists():
        return Pins()
    document = read_document(path, what="list of keys")
    pins: list[Pin] = []
    try:
        entries = Fields(migrate(document, PINS_REVISION, MIGRATIONS, what="list of keys"), "")
        entries.take("revision")
        for index, item in enumerate(entries.items("keys")):
            with at(f"keys[{index}]"):
                entry = Fields(item, "")
                pins.append(Pin(entry.text("author"), _public(entry.text("public_key"))))
                entry.finish()
        entries.finish()
    except PlacedError as fault:
        raise UserError(f"{path}: {fault.message}", remedy="Mend it, or remove it to forget every key.") from fault
    return Pins(tuple(pins))


def write_pins(pins: Pins, folder: Path | None = None) -> None:
    """Keep these keys. Raises UserError."""
    folder = make_folder(keys_folder() if folder is None else folder, mode=0o700)
    keys = [{"author": pin.author, "public_key": pin.key.raw.hex()} for pin in pins.pins]
    document: Document = {"revision": PINS_REVISION, "keys": keys}
    write_atomically(folder / _PINS, (format_document(document) + "\n").encode("utf-8"))


def make_author_key(folder: Path | None = None) -> Ed25519PrivateKey:
    """A new key of this machine's author, readable by its user alone. Raises UserError where there is one."""
    path = make_folder(keys_folder() if folder is None else folder, mode=0o700) / _PRIVATE
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
    except FileExistsError as fault:
        raise UserError("You have a key already.", remedy="`stridor presets keys` shows it.") from fault
    except OSError as fault:
        raise UserError(f"{path} was not written: {fault.strerror or fault}.", remedy="Check the folder.") from fault
    return key


def read_author_key(folder: Path | None = None) -> Ed25519PrivateKey | None:
    """The key of this machine's author; None where there is none. Raises UserError where it cannot be used."""
    path = (keys_folder() if folder is None else folder) / _PRIVATE
    if not path.exists():
        return None
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise UserError(f"Others may read {path}.", remedy=f"Make it yours alone: chmod 600 {path}")
    try:
        key = load_pem_private_key(read_bytes(path), password=None)
    except (ValueError, TypeError) as fault:
        raise UserError(f"{path} is no key.", remedy="Restore it, or remove it and make another.") from fault
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path} is no Ed25519 key.", remedy="Restore it, or remove it and make another.")
    return key


def _public(digits: str) -> PublicKey:
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if len(raw) != _RAW_BYTES:
        raise PlacedError("public_key", "not 64 digits 0-9, a-f.")
    return PublicKey(raw)
