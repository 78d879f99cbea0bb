"""Ed25519 signatures of packs: the author signs the manifest, whose hashes cover everything else in the pack.

RFC 8032. What is signed begins with words of our own, so that no signature made for something else fits.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.store.documents import Document, Fields, format_document, migrate, parse_document
from app.store.packs.refusal import PackRefused
from synth.errors import UserError

SIGNATURE_REVISION: Final = 1
MAX_SIGNATURE_BYTES: Final = 4096
_ALGORITHM: Final = "ed25519"
_CONTEXT: Final = b"Stridor pack, manifest, revision 1\n"
_KEY_FORM: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE_FORM: Final = re.compile(r"[0-9a-f]{128}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An author's public key. `raw` [32 bytes]."""

    raw: bytes

    @property
    def fingerprint(self) -> str:
        """What people compare: the first half of the key's SHA-256, in groups of four digits."""
        digits = hashlib.sha256(self.raw).hexdigest()[:32]
        return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def public_key_of(key: Ed25519PrivateKey) -> PublicKey:
    """The public half."""
    return PublicKey(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature's file for a manifest's bytes."""
    document: Document = {
        "revision": SIGNATURE_REVISION,
        "algorithm": _ALGORITHM,
        "public_key": public_key_of(key).raw.hex(),
        "signature": key.sign(_CONTEXT + manifest).hex(),
    }
    return (format_document(document) + "\n").encode("ascii")


def verify(manifest: bytes, signature_file: bytes) -> PublicKey:
    """The key that signed `manifest`. Raises PackRefused where the signature is not whole, or not of this manifest."""
    if len(signature_file) > MAX_SIGNATURE_BYTES:
        raise PackRefused("signature-form", "The signature is too large to be one.")
    try:
        document = parse_document(signature_file, "signature.json", what="signature")
        fields = Fields(migrate(document, SIGNATURE_REVISION, {}, what="signature"), "")
        fields.take("revision")
        algorithm, key, signature = (fields.text(name) for name in ("algorithm", "public_key", "signature"))
        fields.finish()
    except UserError as fault:
        raise PackRefused("signature-form", f"signature.json: {fault.message}") from fault
    if algorithm != _ALGORITHM:
        raise PackRefused("signature-form", f"The pack is signed in a way that is not known here: {algorithm!r}.")
    if not _KEY_FORM.fullmatch(key) or not _SIGNATURE_FORM.fullmatch(signature):
        raise PackRefused("signature-form", "The signature is not written as signatures are.")
    public = PublicKey(bytes.fromhex(key))
    try:
        Ed25519PublicKey.from_public_bytes(public.raw).verify(bytes.fromhex(signature), _CONTEXT + manifest)
    except (InvalidSignature, ValueError) as fault:
        raise PackRefused(
            "signature", "The signature does not fit: the pack was changed after it was signed."
        ) from fault
    return public
