"""The packs that come with Stridor: signed by its makers' key, installed at the first start, then a person's own.

Each is installed once. Who removes one has removed it: what was offered is remembered beside the installed packs, by
the file's hash, and a newer edition is offered again. Nothing here asks anybody anything, so a pack that is not whole,
or not signed by the key that lies beside it, is left alone and told to the log.

Revisions of offered.json:
1  the first.
"""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import Final

from app.store.atomic import read_bytes, write_atomically
from app.store.documents import Fields, format_document, read_document
from app.store.installed_packs import packs_folder
from app.store.packs.install import Question, install, plan_installation
from app.store.packs.keys import read_pins
from app.store.packs.reader import PackReader
from app.store.packs.refusal import PackRefused
from app.store.packs.signing import PublicKey
from app.store.packs.writer import PACK_SUFFIX
from app.store.presets import FACTORY_FOLDER
from synth.errors import UserError

_logger = logging.getLogger(__name__)

FACTORY_PACKS: Final = FACTORY_FOLDER / "packs"
KEY_FILE: Final = "key.json"
_OFFERED: Final = "offered.json"
_REVISION: Final = 1


def factory_key(source: Path = FACTORY_PACKS) -> PublicKey:
    """The key that signed what comes with Stridor. Raises UserError where it cannot be read."""
    document = read_document(source / KEY_FILE, what="key of the factory packs")
    try:
        entries = Fields(document, "")
        if entries.integer("revision") != _REVISION:
            raise ValueError("of another revision")
        raw = bytes.fromhex(entries.text("public_key"))
        entries.text("fingerprint", "")
        entries.finish()
    except (ValueError, UserError) as fault:
        raise UserError(f"{source / KEY_FILE} holds no key.", remedy="Restore it from the repository.") from fault
    return PublicKey(raw)


def install_factory_packs(
    source: Path = FACTORY_PACKS, *, folder: Path | None = None, keys: Path | None = None
) -> tuple[str, ...]:
    """Install what comes with Stridor and was not offered before -> ids of the packs installed now."""
    files = sorted(source.glob(f"*{PACK_SUFFIX}"))
    if not files:
        return ()
    folder = packs_folder() if folder is None else folder
    done: list[str] = []
    try:
        offered, key = _offered(folder), factory_key(source)
        for path in files:
            content = read_bytes(path)
            digest = hashlib.sha256(content).hexdigest()
            if digest not in offered:
                done.append(_install(content, key, folder, keys))
                offered = (*offered, digest)
                write_atomically(folder / _OFFERED, _as_document(offered))
    except (UserError, OSError) as fault:
        _logger.warning("A pack that comes with Stridor was not installed: %s", fault)
    return tuple(done)


def _install(content: bytes, key: PublicKey, folder: Path, keys: Path | None) -> str:
    file = io.BytesIO(content)
    pack = PackReader(file).read()
    if pack.signer != key:
        raise PackRefused("signature", "The pack is not signed by the key that comes with Stridor.")
    plan = plan_installation(pack, folder=folder, pins=read_pins(keys))
    agreed = {Question.RENAME}
    # An older edition makes way; a stranger's pack of the same id does not.
    if plan.replaces is not None and plan.replaces.fingerprint == key.fingerprint:
        agreed.add(Question.REPLACE)
    return install(file, plan, agreed=frozenset(agreed), folder=folder, keys=keys).id


def _offered(folder: Path) -> tuple[str, ...]:
    path = folder / _OFFERED
    if not path.exists():
        return ()
    entries = Fields(read_document(path, what="list of packs offered"), "")
    if entries.integer("revision") != _REVISION:
        raise UserError(f"{path} is of another revision.", remedy="Update Stridor, or delete the file.")
    return tuple(str(digest) for digest in entries.items("sha256"))


def _as_document(offered: tuple[str, ...]) -> bytes:
    return (format_document({"revision": _REVISION, "sha256": list(offered)}) + "\n").encode("utf-8")
